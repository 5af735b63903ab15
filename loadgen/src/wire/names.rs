//! The names of the clients: `load-00042`, as wide as the largest needs, so all are of one length.

use protocol::SERVER_NAME;

const PREFIX: &[u8] = b"load-";
const DIGITS_MIN: usize = 5;

/// Who a name says is speaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// A client of a load generator, most likely of this one.
    Client(u32),
    /// The server itself.
    Server,
    /// Somebody else who uses the same server.
    Stranger,
}

/// Names the clients of one run, and knows them by their names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    clients: u32,
    digits: usize,
}

impl Names {
    /// Names for clients 0 to `clients` - 1.
    pub(crate) fn new(clients: u32) -> Self {
        let widest = clients.saturating_sub(1).to_string().len();
        Self {
            clients,
            digits: widest.max(DIGITS_MIN),
        }
    }

    /// The name of one client.
    pub(crate) fn of(&self, client: u32) -> String {
        format!("load-{client:0digits$}", digits = self.digits)
    }

    /// Who speaks under `name`. Hot: once per delivery.
    pub(crate) fn speaker(&self, name: &[u8]) -> Speaker {
        match name.strip_prefix(PREFIX) {
            Some(digits) if digits.len() == self.digits => self.client(digits),
            _ if name == SERVER_NAME.as_bytes() => Speaker::Server,
            _ => Speaker::Stranger,
        }
    }

    fn client(&self, digits: &[u8]) -> Speaker {
        let mut client = 0_u32;
        for digit in digits {
            let value = digit.wrapping_sub(b'0');
            if value > 9 {
                return Speaker::Stranger;
            }
            client = client.wrapping_mul(10).wrapping_add(u32::from(value));
        }
        if client < self.clients {
            Speaker::Client(client)
        } else {
            Speaker::Stranger
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_is_known_by_its_name() {
        for clients in [2, 99_999, 100_000, 100_001, 2_000_000] {
            let names = Names::new(clients);
            for client in [0, 1, clients / 2, clients - 1] {
                let name = names.of(client);
                assert_eq!(names.speaker(name.as_bytes()), Speaker::Client(client));
            }
        }
        assert_eq!(Names::new(10).of(7), "load-00007");
    }

    #[test]
    fn others_are_not_taken_for_clients() {
        let names = Names::new(50);
        for name in [
            "load-00050",
            "load-0007",
            "load-000007",
            "load-0000x",
            "ann",
            "",
        ] {
            assert_eq!(names.speaker(name.as_bytes()), Speaker::Stranger, "{name}");
        }
        assert_eq!(names.speaker(b"*server*"), Speaker::Server);
    }
}
