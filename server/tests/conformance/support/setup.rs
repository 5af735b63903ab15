//! The ways of running a server that the suite is run on.

use std::time::Duration;

use server::{Config, DeadPeers, Driver, RingSizes, hub::Limits};

/// A way of running a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) driver: Driver,
    pub(crate) threads: usize,
    ring: RingSizes,
}

impl Setup {
    pub(crate) fn of(driver: Driver, threads: usize) -> Self {
        Self {
            driver,
            threads,
            ring: RingSizes::default(),
        }
    }

    /// A ring in which every queue overflows and no buffer is ever left.
    pub(crate) fn of_tiny_rings() -> Self {
        Self {
            ring: RingSizes {
                submissions: 2,
                completions: 4,
                buffers: 4,
                buffer_bytes: 1024,
                multishot_receive: true,
            },
            ..Self::of(Driver::Uring, 1)
        }
    }

    /// A ring as of kernels before 6.0.
    pub(crate) fn of_single_receives() -> Self {
        Self {
            ring: RingSizes {
                multishot_receive: false,
                ..RingSizes::default()
            },
            ..Self::of(Driver::Uring, 1)
        }
    }

    /// A server with the limits of the program, on a free port of the loopback.
    pub(crate) fn config(self) -> Config {
        Config {
            listen: ([127, 0, 0, 1], 0).into(),
            driver: self.driver,
            threads: self.threads,
            pin: false,
            dead_peers: DeadPeers::default(),
            limits: Limits::default(),
            log_bytes_max: 64 << 20,
            drain_timeout: Duration::from_secs(10),
            ring: self.ring,
            metrics_listen: None,
            metrics_hosts: Vec::new(),
        }
    }
}

/// Makes a test of each function for every way of running a server.
macro_rules! on_every_driver {
    ($($test:ident),* $(,)?) => {
        on_every_driver!(@ epoll_on_1_thread, Setup::of(Driver::Epoll, 1), $($test)*);
        on_every_driver!(@ epoll_on_3_threads, Setup::of(Driver::Epoll, 3), $($test)*);
        #[cfg(feature = "tokio-uring")]
        on_every_driver!(@ tokio_uring_on_1_thread, Setup::of(Driver::TokioUring, 1), $($test)*);
        #[cfg(feature = "tokio-uring")]
        on_every_driver!(@ tokio_uring_on_3_threads, Setup::of(Driver::TokioUring, 3), $($test)*);
        on_every_driver!(@ uring_on_1_thread, Setup::of(Driver::Uring, 1), $($test)*);
        on_every_driver!(@ uring_on_3_threads, Setup::of(Driver::Uring, 3), $($test)*);
        on_every_driver!(@ uring_of_tiny_rings, Setup::of_tiny_rings(), $($test)*);
        on_every_driver!(@ uring_of_single_receives, Setup::of_single_receives(), $($test)*);
    };
    (@ $way:ident, $setup:expr, $($test:ident)*) => {
        mod $way {
            #[allow(unused_imports, reason = "not every way names a driver")]
            use crate::support::{Driver, Setup};
            $(
                #[test]
                fn $test() {
                    super::$test($setup);
                }
            )*
        }
    };
}
