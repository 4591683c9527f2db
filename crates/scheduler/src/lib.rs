//! The timetable's place in the house. There is no `sapari-scheduler` process yet: it comes when it can promise to fire each
//! entry once, on time, with any number of schedulers. Until then this crate deliberately holds no code.
