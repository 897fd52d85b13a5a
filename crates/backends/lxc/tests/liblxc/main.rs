//! Plans against the liblxc that is installed: it takes every key, and the kernel shows the effect.
//! Where LXC or busybox is not installed, each test says so in one line and does nothing.

#[cfg(test)]
mod container;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod views;
