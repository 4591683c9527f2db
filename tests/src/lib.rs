//! Behaviour against real servers. Each module holds one kind; nothing here runs outside of tests.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod proxy;
