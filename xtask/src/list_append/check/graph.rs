//! A graph of what must have been before what: strongly connected components (Tarjan's), and short cycles in them.

use super::super::history::{Element, Key, Span, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Why one is before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// Of one transaction: a snapshot is taken before the commit.
    Program,
    /// The next version is the other's.
    WriteWrite(Key, Element),
    /// The other has read this one's version.
    WriteRead(Key, Element),
    /// This one has read a version that the other has overwritten: it lacks this element.
    ReadWrite(Key, Element),
    /// This one was over before the other began.
    RealTime,
}

/// Which edges count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edges {
    pub reads: bool,
    pub overwritten: bool,
    pub real_time: bool,
}

impl Edges {
    fn has(self, because: Because) -> bool {
        match because {
            Because::Program | Because::WriteWrite(..) => true,
            Because::WriteRead(..) => self.reads,
            Because::ReadWrite(..) => self.overwritten,
            Because::RealTime => self.real_time,
        }
    }
}

/// An edge of a cycle. Who has no owner is a moment.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub from: Option<usize>,
    pub because: Because,
    pub to: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Graph {
    /// The transaction that each node belongs to.
    owners: Vec<Option<usize>>,
    next: Vec<Vec<(usize, Because)>>,
}

/// From how many nodes of a component the shortest cycle is looked for.
const BEGINNINGS: usize = 64;

impl Graph {
    pub fn node(&mut self, owner: usize) -> usize {
        self.add(Some(owner))
    }

    fn add(&mut self, owner: Option<usize>) -> usize {
        self.owners.push(owner);
        self.next.push(Vec::new());
        self.owners.len() - 1
    }

    pub fn edge(&mut self, from: usize, because: Because, to: usize) {
        if let Some(next) = self.next.get_mut(from) {
            next.push((to, because));
        }
    }

    /// Adds what is known by the clock: a chain of moments at which something was over, each node before the moment at
    /// which it was, and behind the last moment before it was sent.
    pub fn add_real_time(&mut self, spans: &[(usize, Span)]) {
        let mut ended: Vec<(Time, usize)> = spans
            .iter()
            .filter_map(|(node, span)| Some((span.answered?, *node)))
            .collect();
        ended.sort_unstable();
        let mut moments = BTreeMap::new();
        let mut last = None;
        for (time, node) in ended {
            let moment = *moments.entry(time).or_insert_with(|| {
                let moment = self.add(None);
                if let Some(last) = last.replace(moment) {
                    self.edge(last, Because::RealTime, moment);
                }
                moment
            });
            self.edge(node, Because::RealTime, moment);
        }
        for (node, span) in spans {
            if let Some((_, moment)) = moments.range(..span.sent).next_back() {
                self.edge(*moment, Because::RealTime, *node);
            }
        }
    }

    /// For each component with a cycle, a short one.
    pub fn cycles(&self, edges: Edges) -> Vec<Vec<Step>> {
        self.components(edges)
            .iter()
            .filter(|component| component.len() > 1)
            .filter_map(|component| self.short_cycle(component, edges))
            .collect()
    }

    fn successors(&self, node: usize, edges: Edges) -> impl Iterator<Item = (usize, Because)> {
        self.next
            .get(node)
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .copied()
            .filter(move |(_, because)| edges.has(*because))
    }

    /// Tarjan's algorithm, without recursion.
    fn components(&self, edges: Edges) -> Vec<Vec<usize>> {
        const NONE: usize = usize::MAX;
        let count = self.owners.len();
        let mut order = vec![NONE; count];
        let mut low = vec![NONE; count];
        let mut on_stack = vec![false; count];
        let (mut stack, mut components, mut visited) = (Vec::new(), Vec::new(), 0);
        for root in 0..count {
            if order[root] != NONE {
                continue;
            }
            let mut path = vec![(root, 0)];
            while let Some((node, place)) = path.pop() {
                if place == 0 {
                    order[node] = visited;
                    low[node] = visited;
                    visited += 1;
                    stack.push(node);
                    on_stack[node] = true;
                }
                let mut next = self.next[node].iter().enumerate().skip(place);
                let child = next.find_map(|(place, (to, because))| {
                    if !edges.has(*because) {
                        return None;
                    }
                    if order[*to] == NONE {
                        return Some((place, *to));
                    }
                    if on_stack[*to] {
                        low[node] = low[node].min(order[*to]);
                    }
                    None
                });
                if let Some((place, child)) = child {
                    path.push((node, place + 1));
                    path.push((child, 0));
                    continue;
                }
                if low[node] == order[node] {
                    let at = stack.iter().rposition(|other| *other == node);
                    let component = stack.split_off(at.unwrap_or(0));
                    for member in &component {
                        on_stack[*member] = false;
                    }
                    components.push(component);
                }
                if let Some((parent, _)) = path.last() {
                    low[*parent] = low[*parent].min(low[node]);
                }
            }
        }
        components
    }

    /// The cycle with the fewest reads of overwritten versions, and of those the shortest, from some nodes of a component.
    fn short_cycle(&self, component: &[usize], edges: Edges) -> Option<Vec<Step>> {
        let members: BTreeSet<usize> = component.iter().copied().collect();
        let owned = component
            .iter()
            .filter(|node| self.owners[**node].is_some());
        owned
            .take(BEGINNINGS)
            .filter_map(|begin| self.cycle_through(*begin, &members, edges))
            .min_by_key(|cycle| {
                let is_overwritten = |step: &&Step| matches!(step.because, Because::ReadWrite(..));
                (cycle.iter().filter(is_overwritten).count(), cycle.len())
            })
    }

    fn cycle_through(
        &self,
        begin: usize,
        members: &BTreeSet<usize>,
        edges: Edges,
    ) -> Option<Vec<Step>> {
        let mut came_from = BTreeMap::new();
        let mut queue = VecDeque::from([begin]);
        while let Some(node) = queue.pop_front() {
            for (to, because) in self.successors(node, edges) {
                if !members.contains(&to) || came_from.contains_key(&to) {
                    continue;
                }
                came_from.insert(to, (node, because));
                if to == begin {
                    return Some(self.path_back(begin, &came_from));
                }
                queue.push_back(to);
            }
        }
        None
    }

    fn path_back(&self, begin: usize, came_from: &BTreeMap<usize, (usize, Because)>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut node = begin;
        while let Some((from, because)) = came_from.get(&node) {
            steps.push(Step {
                from: self.owners[*from],
                because: *because,
                to: self.owners[node],
            });
            node = *from;
            if node == begin {
                break;
            }
        }
        steps.reverse();
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Edges = Edges {
        reads: true,
        overwritten: true,
        real_time: true,
    };

    fn graph(nodes: usize, edges: &[(usize, usize)]) -> Graph {
        let mut graph = Graph::default();
        for owner in 0..nodes {
            graph.node(owner);
        }
        for (from, to) in edges {
            graph.edge(*from, Because::Program, *to);
        }
        graph
    }

    #[test]
    fn components_are_those_of_the_textbook() {
        let edges = [
            (0, 1),
            (1, 2),
            (2, 0),
            (2, 3),
            (3, 4),
            (4, 5),
            (5, 3),
            (6, 5),
            (6, 7),
        ];
        let mut components = graph(8, &edges).components(ALL);
        for component in &mut components {
            component.sort_unstable();
        }
        components.sort();
        assert_eq!(components, [vec![0, 1, 2], vec![3, 4, 5], vec![6], vec![7]]);
    }

    #[test]
    fn random_components_agree_with_reachability() {
        let mut random = crate::random::Random::for_part(5, &[]);
        for _ in 0..200 {
            let edges: Vec<(usize, usize)> = (0..random.between(4, 30))
                .map(|_| {
                    (
                        random.between(0, 11) as usize,
                        random.between(0, 11) as usize,
                    )
                })
                .collect();
            let graph = graph(12, &edges);
            let mut reached = [[false; 12]; 12];
            for (from, to) in &edges {
                reached[*from][*to] = true;
            }
            for middle in 0..12 {
                for from in 0..12 {
                    for to in 0..12 {
                        reached[from][to] |= reached[from][middle] && reached[middle][to];
                    }
                }
            }
            for component in graph.components(ALL) {
                let with = component[0];
                let together = (0..12)
                    .filter(|&node| node == with || reached[node][with] && reached[with][node]);
                let members: BTreeSet<usize> = component.iter().copied().collect();
                assert_eq!(members, together.collect());
            }
        }
    }

    #[test]
    fn the_shortest_cycle_is_shown() {
        let cycles = graph(5, &[(0, 1), (1, 2), (2, 0), (2, 3), (3, 2)]).cycles(ALL);
        assert_eq!(cycles.len(), 1);
        assert_eq!(cycles[0].len(), 2);
    }

    #[test]
    fn real_time_orders_what_was_over_before_another_was_sent() {
        let span = |sent, answered| Span { sent, answered };
        let mut graph = graph(3, &[(2, 0)]);
        graph.add_real_time(&[
            (0, span(1, Some(3))),
            (1, span(2, Some(5))),
            (2, span(4, None)),
        ]);
        assert_eq!(graph.cycles(ALL).len(), 1);
        let mut graph = self::graph(3, &[(1, 0)]);
        graph.add_real_time(&[
            (0, span(1, Some(3))),
            (1, span(2, Some(5))),
            (2, span(4, None)),
        ]);
        assert!(graph.cycles(ALL).is_empty());
    }
}
