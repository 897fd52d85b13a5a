//! Containers made by a real program through the room: the one that `LXCRI_TEST_OCI_RUNTIME` names
//! by its path, else runc. Needs root, a program that works in this machine's cgroup view, and
//! busybox; without them each test says so in one line.

#[cfg(test)]
mod bundle;
#[cfg(test)]
mod drive;
