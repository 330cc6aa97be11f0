//! A rooted tree of few nodes that can be taken apart and put together in place.

const NONE: u16 = u16::MAX;

#[derive(Debug, Clone, Copy)]
struct Link {
    parent: u16,
    /// The first child; the others follow by `next`.
    child: u16,
    next: u16,
    previous: u16,
    depth: u16,
}

const LOOSE: Link = Link { parent: NONE, child: NONE, next: NONE, previous: NONE, depth: 0 };

/// Nodes 0, 1, .. and the parent of each.
#[derive(Debug, Clone)]
pub struct Tree(Vec<Link>);

impl Tree {
    /// Room for `most` nodes, which must be fewer than 65535.
    pub fn new(most: usize) -> Self {
        Self(Vec::with_capacity(most))
    }

    /// Makes `count` nodes that are not joined.
    pub fn clear(&mut self, count: usize) {
        self.0.clear();
        self.0.resize(count, LOOSE);
    }

    /// The parent of `x`; `None` for a root.
    pub fn parent(&self, x: usize) -> Option<usize> {
        link(self.0[x].parent)
    }

    /// How far `x` is from the root, if [`Tree::place`] was told since that changed.
    pub fn depth(&self, x: usize) -> u16 {
        self.0[x].depth
    }

    /// Puts the depth of `x` right, after that of its parent.
    pub fn place(&mut self, x: usize) {
        self.0[x].depth = self.parent(x).map_or(0, |parent| self.0[parent].depth + 1);
    }

    /// Makes the root `x` a child of `parent`.
    pub fn attach(&mut self, x: usize, parent: usize) {
        let first = self.0[parent].child;
        if let Some(first) = link(first) {
            self.0[first].previous = x as u16;
        }
        self.0[x].next = first;
        self.0[x].previous = NONE;
        self.0[x].parent = parent as u16;
        self.0[parent].child = x as u16;
    }

    /// Makes `x` a root; what hangs on it stays there.
    pub fn detach(&mut self, x: usize) {
        let Link { parent, next, previous, .. } = self.0[x];
        match (link(previous), link(parent)) {
            (Some(previous), _) => self.0[previous].next = next,
            (None, Some(parent)) => self.0[parent].child = next,
            (None, None) => {}
        }
        if let Some(next) = link(next) {
            self.0[next].previous = previous;
        }
        self.0[x] = Link { parent: NONE, next: NONE, previous: NONE, ..self.0[x] };
    }

    /// The node after `x` in the part below `top`, each parent before its children.
    pub fn after(&self, x: usize, top: usize) -> Option<usize> {
        if let Some(child) = link(self.0[x].child) {
            return Some(child);
        }
        let mut x = x;
        while x != top {
            if let Some(next) = link(self.0[x].next) {
                return Some(next);
            }
            x = self.parent(x)?;
        }
        None
    }
}

fn link(to: u16) -> Option<usize> {
    (to != NONE).then_some(to as usize)
}
