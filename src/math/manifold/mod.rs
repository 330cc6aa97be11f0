//! Graphs of what is alike, and coordinates in which such things lie near each other.
//!
//! In: features of nodes, covariance matrices, or distances. Out: the parts of a graph and of its
//! embedding, one job to a file, in the order in which they are used:
//!
//! | file | from | to |
//! |---|---|---|
//! | [`distance`] | features of nodes, or a covariance | all distances |
//! | [`neighbours`] | distances | who shares an edge |
//! | [`heat`] | distances | weights |
//! | [`components`] | edges | how many parts |
//! | [`eigenmap`] | weights | coordinates |
//! | [`procrustes`] | two sets of coordinates | the rotation between them |
//! | [`points`] | a point and some others | its distances to them |
//! | [`landmarks`] | many points | a few that stand for all |
//! | [`map`] | distances between landmarks | a map for points that come later |
//! | [`pca`] | vectors | the axes along which they vary most |
//!
//! Square matrices of all pairs are slices of n x n numbers and symmetric. What is marked so allocates;
//! nothing else does, so that a graph can be embedded for every window of a stream.

pub mod components;
pub mod distance;
pub mod eigenmap;
pub mod heat;
pub mod landmarks;
pub mod map;
pub mod neighbours;
pub mod pca;
pub mod points;
pub mod procrustes;
