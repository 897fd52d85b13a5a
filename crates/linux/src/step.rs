//! Steps by name, so that a test can end a process exactly at one of them.
//!
//! Each crate that makes or changes something lists its steps with [`steps!`](crate::steps), once:
//! the list is what tests go through, and a step that no code reaches is dead code to the compiler.
//! A name is `verb/step`; with a third part in the middle, `verb/process/step`, it is a step of a
//! child of ours, which then ends in place of the runtime.
//!
//! In a program built with the feature `fail-points` a process that reaches the step named by
//! `LXCRI_FAIL_POINT` ends at once by SIGKILL, and one that reaches the step named by
//! `LXCRI_STOP_POINT` stops there by SIGSTOP until it is sent SIGCONT, so that a test can let another
//! command run in between. In any other build reaching a step is nothing at all.

/// One step of a verb.
pub trait Step: Copy {
    /// Its name.
    fn name(self) -> &'static str;

    /// The step has just been done.
    #[inline(always)]
    fn reached(self) {
        #[cfg(feature = "fail-points")]
        obey(self.name());
    }
}

/// Makes a closed list of steps: an enum, its names, and [`Step`](crate::step::Step) for it.
#[macro_export]
macro_rules! steps {
    (
        $(#[$about:meta])*
        $visible:vis enum $List:ident {
            $($(#[$what:meta])* $Step:ident = $name:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visible enum $List {
            $($(#[$what])* $Step,)+
        }

        impl $List {
            /// The names of all.
            $visible const NAMES: &'static [&'static str] = &[$($name),+];
        }

        impl $crate::step::Step for $List {
            fn name(self) -> &'static str {
                match self {
                    $(Self::$Step => $name,)+
                }
            }
        }
    };
}

/// The environment variable. Not one of `PROXMOX_LXCRI_*`, which are configuration and checked.
#[cfg(feature = "fail-points")]
const END: &str = "LXCRI_FAIL_POINT";
#[cfg(feature = "fail-points")]
const STOP: &str = "LXCRI_STOP_POINT";

#[cfg(feature = "fail-points")]
fn obey(name: &str) {
    let is_asked = |variable| std::env::var_os(variable).is_some_and(|wanted| wanted == name);
    if is_asked(STOP) {
        // Where it fails the test notices that nobody stopped.
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::STOP);
    }
    if !is_asked(END) {
        return;
    }
    // Nothing to be done where it fails: what follows ends the process, too.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // PID 1 of a pid namespace is out of reach of its own signals (pid_namespaces(7)).
    crate::clone::end(128 + libc::SIGKILL)
}
