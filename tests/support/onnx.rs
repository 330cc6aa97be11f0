//! Models written by hand, field by field, as `onnx.proto3` has them.

/// A field with bytes.
pub fn bytes(field: u8, b: &[u8]) -> Vec<u8> {
    [vec![field << 3 | 2], varint(b.len()), b.to_vec()].concat()
}

/// A field with a number.
pub fn number(field: u8, n: usize) -> Vec<u8> {
    [vec![field << 3], varint(n)].concat()
}

fn varint(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push((n % 128) as u8 | 0x80);
        n /= 128;
    }
    out.push(n as u8);
    out
}

/// An operator with two inputs.
pub fn node(op: &str, from: [&str; 2], to: &str) -> Vec<u8> {
    let inputs = from.map(|name| bytes(1, name.as_bytes())).concat();
    bytes(1, &[inputs, bytes(2, to.as_bytes()), bytes(4, op.as_bytes())].concat())
}

/// Weights: float32, one axis.
pub fn weights(name: &str, v: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = v.iter().flat_map(|v| v.to_le_bytes()).collect();
    let tensor = [number(1, v.len()), number(2, 1), bytes(4, &raw), bytes(8, name.as_bytes())];
    bytes(5, &tensor.concat())
}

/// A square matrix with `v` on its diagonal: float32.
pub fn diagonal(name: &str, n: usize, v: f32) -> Vec<u8> {
    let entry = |e: usize| if e / n == e % n { v } else { 0.0 };
    let raw: Vec<u8> = (0..n * n).flat_map(|e| entry(e).to_le_bytes()).collect();
    let dims = [number(1, n), number(1, n)].concat();
    bytes(5, &[dims, number(2, 1), bytes(4, &raw), bytes(8, name.as_bytes())].concat())
}

/// The declaration of an input (field 11) or output (12): float32, `[rows, columns]` with any number of rows.
pub fn table(field: u8, name: &str, columns: usize) -> Vec<u8> {
    let shape = [bytes(1, &bytes(2, b"rows")), bytes(1, &number(1, columns))].concat();
    let typed = bytes(2, &bytes(1, &[number(1, 1), bytes(2, &shape)].concat()));
    bytes(field, &[bytes(1, name.as_bytes()), typed].concat())
}

/// A model of a graph.
pub fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    let graph = [bytes(2, b"graph"), graph.concat()].concat();
    [number(1, 8), bytes(7, &graph), bytes(8, &number(2, 17))].concat()
}

/// `y = a x + b` for each column.
pub fn line(a: &[f32], b: &[f32]) -> Vec<u8> {
    model(&[
        node("Mul", ["x", "a"], "ax"),
        node("Add", ["ax", "b"], "y"),
        weights("a", a),
        weights("b", b),
        table(11, "x", a.len()),
        table(12, "y", a.len()),
    ])
}

/// `count` products, one after the other, with the unit matrix of `side` rows: `y = x`, slowly.
pub fn products(side: usize, count: usize) -> Vec<u8> {
    let mut graph = vec![diagonal("w", side, 1.0), table(11, "x", side), table(12, "y", side)];
    for i in 0..count {
        let from = if i == 0 { "x".to_owned() } else { format!("h{i}") };
        let to = if i + 1 == count { "y".to_owned() } else { format!("h{}", i + 1) };
        graph.push(node("MatMul", [&from, "w"], &to));
    }
    model(&graph)
}
