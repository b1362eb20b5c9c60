//! Which server of a service is tried first.

use grapeshot_dns::proto::{
    MAX_SERVICE_TARGETS, ServiceBinding, ServiceBindings, Srv, service_bindings, service_order,
};

use super::messages::{name, seeded};

fn server(priority: u16, weight: u16, target: &str) -> Srv {
    Srv { priority, weight, port: 1, target: name(target) }
}

/// How often each target comes first.
fn firsts(servers: &[Srv], rounds: usize) -> Vec<usize> {
    let mut random = seeded(42);
    let mut counts = vec![0; servers.len()];
    for _ in 0..rounds {
        let first = service_order(servers.to_vec(), &mut random).unwrap().remove(0);
        counts[servers.iter().position(|server| *server == first).unwrap()] += 1;
    }
    counts
}

#[test]
fn rfc_2782_lower_priorities_come_first() {
    let servers = vec![server(3, 9, "c."), server(1, 0, "a."), server(2, 0, "b.")];
    let order = service_order(servers, &mut seeded(1)).unwrap();
    let targets: Vec<String> = order.iter().map(|server| server.target.to_ascii()).collect();
    assert_eq!(targets, ["a.", "b.", "c."]);
}

#[test]
fn rfc_2782_within_a_priority_servers_come_first_as_often_as_their_weights_say() {
    let counts = firsts(&[server(0, 10, "a."), server(0, 30, "b."), server(0, 60, "c.")], 10_000);
    // In proportion, but for the one number more that lots are drawn of; within four standard deviations.
    for (count, (low, high)) in counts.iter().zip([(880, 1290), (2790, 3150), (5720, 6120)]) {
        assert!((low..high).contains(count), "{counts:?}");
    }
}

#[test]
fn rfc_2782_the_second_is_drawn_among_those_left() {
    let servers = [server(0, 1, "a."), server(0, 1000, "b."), server(0, 1000, "c.")];
    let mut random = seeded(3);
    let last = (0..1000).filter(|_| service_order(servers.to_vec(), &mut random).unwrap()[2].target == name("a."));
    assert!(last.count() > 980);
}

#[test]
fn rfc_2782_a_server_without_weight_has_a_very_small_chance() {
    let counts = firsts(&[server(0, 99, "a."), server(0, 0, "b.")], 10_000);
    assert!((50..160).contains(&counts[1]), "one in a hundred: {counts:?}");
}

#[test]
fn rfc_2782_all_servers_are_in_the_order_exactly_once() {
    let servers: Vec<Srv> = (0..50).map(|n| server(n % 3, n * 7 % 5, &format!("s{n}."))).collect();
    let mut order = service_order(servers.clone(), &mut seeded(9)).unwrap();
    assert!(order.windows(2).all(|pair| pair[0].priority <= pair[1].priority));
    order.sort_by_key(|server| servers.iter().position(|other| other == server));
    assert_eq!(order, servers);
}

#[test]
fn rfc_2782_the_root_alone_says_that_the_service_is_not_offered() {
    assert_eq!(service_order(vec![server(0, 0, ".")], &mut seeded(1)), None);
    let order = service_order(vec![server(0, 0, "."), server(9, 0, "a.")], &mut seeded(1)).unwrap();
    assert_eq!(order, [server(9, 0, "a.")]);
    assert_eq!(service_order(Vec::new(), &mut seeded(1)), Some(Vec::new()));
}

#[test]
fn the_number_of_servers_is_bounded() {
    let servers: Vec<Srv> = (0..1000).map(|n| server(1000 - n, 1, "a.")).collect();
    let order = service_order(servers, &mut seeded(1)).unwrap();
    assert_eq!(order.len(), MAX_SERVICE_TARGETS);
    assert_eq!(order[0].priority, 1, "the best are kept");
}

#[test]
fn the_same_seed_gives_the_same_order() {
    let servers: Vec<Srv> = (0..20).map(|n| server(0, n, &format!("s{n}."))).collect();
    let order = |seed| service_order(servers.clone(), &mut seeded(seed)).unwrap();
    assert_eq!(order(5), order(5));
    assert_ne!(order(5), order(6));
}

fn binding(priority: u16, target: &str) -> ServiceBinding {
    ServiceBinding { priority, target: name(target), ..ServiceBinding::default() }
}

#[test]
fn rfc_9460_section_2_4_1_an_alias_makes_the_services_void() {
    let bindings = vec![binding(1, "a."), binding(0, "b.")];
    assert_eq!(service_bindings(bindings, &mut seeded(1)), ServiceBindings::Alias(name("b.")));
}

#[test]
fn rfc_9460_section_8_services_that_need_more_than_we_know_are_ignored() {
    let unknown = ServiceBinding { mandatory: vec![1, 7], ..binding(1, "a.") };
    let known = ServiceBinding { mandatory: vec![1, 6], ..binding(3, "c.") };
    let order = service_bindings(vec![unknown, known.clone(), binding(2, "b.")], &mut seeded(1));
    assert_eq!(order, ServiceBindings::Services(vec![binding(2, "b."), known]));
}

#[test]
fn rfc_9460_section_2_4_1_services_of_one_priority_are_shuffled() {
    let mut random = seeded(1);
    let mut first = |_| match service_bindings(vec![binding(1, "a."), binding(1, "b.")], &mut random) {
        ServiceBindings::Services(services) => services[0].target == name("a."),
        ServiceBindings::Alias(_) => panic!(),
    };
    let count = (0..1000).map(&mut first).filter(|is_first| *is_first).count();
    assert!((400..600).contains(&count), "{count}");
}
