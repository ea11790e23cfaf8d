//! Commits: a change of the file list becomes manifests, a manifest list and the next metadata
//! file.
