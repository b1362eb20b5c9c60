//! In which order the servers of a service are tried (RFC 2782).

use super::records::Srv;

/// How many servers of one service are put in order; those of the worst priority beyond are left out.
pub const MAX_SERVICE_TARGETS: usize = 256;

/// Puts the servers of a service in the order in which a client tries them, drawing lots among those of one priority
/// by their weight (RFC 2782, "Weight").
///
/// `random` gives evenly distributed numbers; seeded the same, it gives the same order.
///
/// None means that the service is decidedly not offered: the only record has the root as its target.
///
/// ```
/// use grapeshot_dns::proto::{Name, Srv, service_order};
///
/// let server = |priority, name: &str| Srv {
///     priority,
///     weight: 0,
///     port: 5060,
///     target: Name::from_ascii(name).unwrap(),
/// };
/// let mut seven = || 7;
/// let order = service_order(vec![server(2, "b."), server(1, "a.")], &mut seven).unwrap();
/// assert_eq!(order[0].target.to_ascii(), "a.");
/// assert_eq!(service_order(vec![server(0, ".")], &mut seven), None);
/// ```
pub fn service_order(mut servers: Vec<Srv>, random: &mut dyn FnMut() -> u64) -> Option<Vec<Srv>> {
    if let [only] = servers.as_slice()
        && only.target.is_root()
    {
        return None;
    }
    // A root among others names no host to connect to.
    servers.retain(|server| !server.target.is_root());
    // Those without weight come first among their equals, which gives them the small chance they are to have.
    servers.sort_by_key(|server| (server.priority, server.weight > 0));
    servers.truncate(MAX_SERVICE_TARGETS);
    let mut start = 0;
    while start < servers.len() {
        let priority = servers[start].priority;
        let end = start + servers[start..].iter().take_while(|server| server.priority == priority).count();
        draw_lots(&mut servers[start..end], random);
        start = end;
    }
    Some(servers)
}

/// Draws one server after the other, each as likely as its weight among those left.
fn draw_lots(servers: &mut [Srv], random: &mut dyn FnMut() -> u64) {
    for next in 0..servers.len() {
        let left = &servers[next..];
        let sum: u64 = left.iter().map(|server| u64::from(server.weight)).sum();
        // Of 64 bits, the remainder prefers small numbers by less than one in 2^40.
        let lot = random() % (sum + 1);
        let mut running = 0;
        let drawn = left.iter().position(|server| {
            running += u64::from(server.weight);
            running >= lot
        });
        // The others keep their order, and so those without weight their place in front.
        servers[next..=next + drawn.unwrap_or(0)].rotate_right(1);
    }
}
