//! Which user owns the other end of a loopback connection.
//!
//! Loopback is not a user boundary, and drop-in clients send no credential. So the kernel is asked who
//! owns the client's socket: one netlink `sock_diag` query by the exact four-tuple. A socket without a
//! row, without an inode or without a user we can name is nobody's: an orphaned socket shows user 0, and
//! must not be taken for root's.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr};

/// Who owns a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This user.
    User(u32),
    /// Nobody that can be named: the socket is closed, orphaned, or not on this machine.
    Nobody,
}

/// The user who runs this process.
#[must_use]
pub fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Asks who owns the socket whose own address is `client` and whose peer is `server`.
///
/// # Errors
/// The system's, where it cannot be asked; callers must then ask for another proof.
pub fn owner(client: SocketAddr, server: SocketAddr) -> io::Result<Owner> {
    // A client that connected over IPv4 to a socket that takes both has an IPv4 socket.
    let (client, server) = (canonical(client), canonical(server));
    let found = ask(client, server)?;
    // An IPv6 socket that talks to an IPv4 address is filed under its mapped addresses.
    match (found, client.ip(), server.ip()) {
        (Owner::Nobody, IpAddr::V4(client_ip), IpAddr::V4(server_ip)) => ask(
            SocketAddr::new(IpAddr::V6(client_ip.to_ipv6_mapped()), client.port()),
            SocketAddr::new(IpAddr::V6(server_ip.to_ipv6_mapped()), server.port()),
        ),
        _ => Ok(found),
    }
}

/// Asks who listens at a port of the loopback interface. Whoever connects there may be answered by this user's program.
///
/// # Errors
/// The system's, where it cannot be asked.
pub fn listener(port: u16) -> io::Result<Owner> {
    let hosts = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())];
    for host in hosts {
        let anybody = if host.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let found = ask(SocketAddr::new(host, port), SocketAddr::new(anybody, 0))?;
        if found != Owner::Nobody {
            return Ok(found);
        }
    }
    Ok(Owner::Nobody)
}

const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

thread_local! {
    /// One socket per thread, kept while it works: making one for each question costs more than asking.
    static SOCKET: RefCell<Option<Socket>> = const { RefCell::new(None) };
}

/// Sends a question and reads its answer.
fn exchange(question: &[u8], answer: &mut [u8]) -> io::Result<usize> {
    SOCKET.with_borrow_mut(|slot| {
        let socket = match slot.take() {
            Some(socket) => socket,
            None => {
                let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
                socket.bind_auto()?;
                socket.connect(&NetlinkAddr::new(0, 0))?;
                socket
            }
        };
        socket.send(question, 0)?;
        let mut rest = answer;
        let size = socket.recv(&mut rest, 0)?;
        // A socket that failed may hold an answer to an earlier question; only a good one is kept.
        *slot = Some(socket);
        Ok(size)
    })
}

fn ask(client: SocketAddr, server: SocketAddr) -> io::Result<Owner> {
    let mut buffer = [0_u8; 512];
    let size = exchange(&request(client, server), &mut buffer)?;
    let answer = NetlinkMessage::<SockDiagMessage>::deserialize(buffer.get(..size).unwrap_or_default());
    let answer = answer.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
            let header = response.header;
            let id = &header.socket_id;
            // A socket that listens may do so at every address at once.
            let is_listener = server.port() == 0 && (id.source_port, id.destination_port) == (client.port(), 0);
            let is_connected = (id.source_address, id.source_port) == (client.ip(), client.port())
                && (id.destination_address, id.destination_port) == (server.ip(), server.port());
            let is_it = is_listener || is_connected;
            Ok(if is_it && header.inode != 0 { Owner::User(header.uid) } else { Owner::Nobody })
        }
        NetlinkPayload::Error(error) if error.to_io().kind() == io::ErrorKind::NotFound => Ok(Owner::Nobody),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Ok(Owner::Nobody),
    }
}

fn request(client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let request = InetRequest {
        family: if client.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: client.port(),
            destination_port: server.port(),
            source_address: client.ip(),
            destination_address: server.ip(),
            interface_id: 0,
            cookie: [0xff; 8],
        },
    };
    let mut packet = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_living_socket_has_its_owner_and_a_closed_one_has_nobody() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let server = listener.local_addr().expect("bound");
            let stream = TcpStream::connect(server).expect("listens");
            let client = stream.local_addr().expect("connected");
            let (accepted, _) = listener.accept().expect("connects");

            assert_eq!(owner(client, server).expect("netlink"), Owner::User(own_user()), "{host}");

            drop(stream);
            assert_eq!(owner(client, server).expect("netlink"), Owner::Nobody, "{host}");
            drop(accepted);
        }
    }

    #[test]
    fn whoever_listens_at_a_port_is_found_at_whichever_address() {
        for host in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listening) = TcpListener::bind(host) else { continue };
            let port = listening.local_addr().expect("bound").port();

            assert_eq!(listener(port).expect("netlink"), Owner::User(own_user()), "{host}");

            drop(listening);
            assert_eq!(listener(port).expect("netlink"), Owner::Nobody, "{host}");
        }
    }

    #[test]
    fn an_ipv4_client_of_a_dual_listener_is_found() {
        let Ok(listener) = TcpListener::bind("[::]:0") else { return };
        let port = listener.local_addr().expect("bound").port();
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("listens");
        let (_accepted, seen) = listener.accept().expect("connects");
        let local = stream.peer_addr().expect("connected");

        assert_eq!(owner(seen, local).expect("netlink"), Owner::User(own_user()));
    }
}
