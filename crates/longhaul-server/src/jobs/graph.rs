use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};

use axum::http::Method;
use clap::Args as ClapArgs;
use serde::Deserialize;

use super::named::named;
use crate::Result;
use crate::client::{Client, State, encoded, indented};
use crate::terminal::Paint;

/// Draw the jobs that are connected with one: below each job stand those that it waits, or waited, for.
///
/// A job that stands in several places is drawn out at the first; the others are marked (*). Of many jobs below one, the first
/// 20 are named and the others counted by their states.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The job's id, or a prefix of it that no other has
    id: String,
    /// Name every job, however many stand below one
    #[arg(long)]
    all: bool,
    /// The jobs and what waits for what, as the HTTP API has them
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs graph publish-0199c1f2
  longhaul jobs graph publish-0199c1f2 --all | less
  longhaul jobs graph publish-0199c1f2 --json | jq -r '.nodes[] | select(.state == \"failed\").id'
  longhaul why publish-0199c1f2                   what the job itself still waits for";

#[derive(Debug, Deserialize)]
struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    complete: bool,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    kind: String,
    state: State,
}

/// One job, `to`, that waits for another.
#[derive(Debug, Deserialize)]
struct Edge {
    from: String,
    to: String,
    on_failure: String,
}

/// The jobs below one that are named before the others are counted.
const NAMED: usize = 20;

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let ask = async |id: &str| client.text(Method::GET, &format!("/jobs/{}/graph", encoded(id)), None).await;
    let (id, text) = named(client, &args.id, ask).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", indented(&text))?;
        return Ok(());
    }
    let graph: Graph = serde_json::from_str(&text)?;
    let named = if args.all { usize::MAX } else { NAMED };
    Tree::of(&graph, &id, named, Paint::of_output()).write(&mut out)?;
    if !graph.complete {
        writeln!(out, "not all: the {} jobs nearest to {id} are shown", graph.nodes.len())?;
    }
    Ok(())
}

/// A graph as it is drawn.
struct Tree<'g> {
    nodes: HashMap<&'g str, &'g Node>,
    /// By job, those that it waits for, in the order of the answer.
    below: HashMap<&'g str, Vec<&'g Edge>>,
    /// Those that nothing waits for.
    roots: Vec<&'g str>,
    asked: &'g str,
    named: usize,
    paint: Paint,
}

/// A job that is still to be drawn: what stands before its line, before the lines below it, and behind it.
struct Place<'g> {
    id: &'g str,
    before: String,
    indent: String,
    is_however: bool,
}

/// A line, or a job with all below it, that is still to be written.
enum Pending<'g> {
    Job(Place<'g>),
    Line(String),
}

impl<'g> Tree<'g> {
    fn of(graph: &'g Graph, asked: &'g str, named: usize, paint: Paint) -> Self {
        let nodes = graph.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let mut below: HashMap<&str, Vec<&Edge>> = HashMap::new();
        for edge in &graph.edges {
            below.entry(&edge.to).or_default().push(edge);
        }
        let waited_for: HashSet<&str> = graph.edges.iter().map(|edge| edge.from.as_str()).collect();
        let roots = graph.nodes.iter().map(|node| node.id.as_str()).filter(|id| !waited_for.contains(id));
        Self { nodes, below, roots: roots.collect(), asked, named, paint }
    }

    /// Without recursion: a chain may be as long as the graph.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let place =
            |id: &&'g str| Place { id, before: String::new(), indent: String::new(), is_however: false };
        let mut pending: Vec<Pending> = self.roots.iter().rev().map(|id| Pending::Job(place(id))).collect();
        let mut drawn = HashSet::new();
        while let Some(next) = pending.pop() {
            let place = match next {
                Pending::Line(line) => {
                    writeln!(out, "{line}")?;
                    continue;
                }
                Pending::Job(place) => place,
            };
            let below = self.below.get(place.id).map(Vec::as_slice).unwrap_or_default();
            let is_repeated = !drawn.insert(place.id) && !below.is_empty();
            self.write_job(out, &place, is_repeated)?;
            if !is_repeated {
                self.push_below(&mut pending, &place.indent, below);
            }
        }
        Ok(())
    }

    fn write_job(&self, out: &mut impl Write, place: &Place<'_>, is_repeated: bool) -> io::Result<()> {
        let Some(Node { id, kind, state }) = self.nodes.get(place.id) else { return Ok(()) };
        let state = self.paint.state(*state);
        let however = if place.is_however { ", however it ends" } else { "" };
        let repeated = if is_repeated { " (*)" } else { "" };
        let asked = if id == self.asked { "  <- asked for" } else { "" };
        writeln!(out, "{}{id}  {kind}  {state}{however}{repeated}{asked}", place.before)
    }

    /// Notes what stands below a job, the first last, so that it is taken first.
    fn push_below(&self, pending: &mut Vec<Pending<'g>>, indent: &str, below: &[&'g Edge]) {
        // One more is named rather than counted.
        let named = if below.len() <= self.named.saturating_add(1) { below.len() } else { self.named };
        let (named, counted) = below.split_at(named);
        if !counted.is_empty() {
            pending.push(Pending::Line(format!("{indent}└── {}", self.count(counted))));
        }
        for (at, edge) in named.iter().enumerate().rev() {
            let is_last = counted.is_empty() && at + 1 == named.len();
            let (branch, rest) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
            pending.push(Pending::Job(Place {
                id: &edge.from,
                before: format!("{indent}{branch}"),
                indent: format!("{indent}{rest}"),
                is_however: edge.on_failure == "run" && !self.is_child(edge),
            }));
        }
    }

    /// True where no other edge is of this sort below the job, as of a parent that waits for its children: then it need not be said.
    fn is_child(&self, edge: &Edge) -> bool {
        self.below
            .get(edge.to.as_str())
            .is_some_and(|edges| edges.iter().all(|edge| edge.on_failure == "run"))
    }

    fn count(&self, edges: &[&Edge]) -> String {
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for node in edges.iter().filter_map(|edge| self.nodes.get(edge.from.as_str())) {
            *states.entry(node.state.as_str()).or_default() += 1;
        }
        let states: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        format!("{} more: {} (--all names them)", edges.len(), states.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(nodes: &[(&str, State)], edges: &[(&str, &str, &str)], named: usize) -> String {
        let node = |(id, state): &(&str, State)| Node { id: (*id).into(), kind: "k".into(), state: *state };
        let edge = |(from, to, on_failure): &(&str, &str, &str)| Edge {
            from: (*from).into(),
            to: (*to).into(),
            on_failure: (*on_failure).into(),
        };
        let graph = Graph {
            nodes: nodes.iter().map(node).collect(),
            edges: edges.iter().map(edge).collect(),
            complete: true,
        };
        let mut out = Vec::new();
        Tree::of(&graph, "a", named, Paint::None).write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_job_stands_above_those_that_it_waits_for_and_is_drawn_out_once() {
        use longhaul::State::{Blocked, Completed, Failed};
        let nodes = [("a", Completed), ("left", Failed), ("right", Completed), ("end", Blocked)];
        let edges = [
            ("a", "left", "cancel"),
            ("a", "right", "cancel"),
            ("left", "end", "run"),
            ("right", "end", "cancel"),
        ];
        let expected = "\
end  k  blocked
├── left  k  failed, however it ends
│   └── a  k  completed  <- asked for
└── right  k  completed
    └── a  k  completed  <- asked for
";
        assert_eq!(drawn(&nodes, &edges, 20), expected);
        let more = [("a", Completed), ("b", Completed), ("c", Completed), ("d", Blocked)];
        let edges = [("b", "a", "cancel"), ("a", "c", "cancel"), ("a", "d", "cancel")];
        let expected = "\
c  k  completed
└── a  k  completed  <- asked for
    └── b  k  completed
d  k  blocked
└── a  k  completed (*)  <- asked for
";
        assert_eq!(drawn(&more, &edges, 20), expected);
    }

    #[test]
    fn many_jobs_below_one_are_counted_by_their_states() {
        let children: Vec<String> = (0..5).map(|n| format!("child-{n}")).collect();
        let state = |n: usize| if n == 4 { State::Failed } else { State::Completed };
        let mut nodes = vec![("a", State::Running)];
        nodes.extend(children.iter().enumerate().map(|(n, id)| (id.as_str(), state(n))));
        let edges: Vec<_> = children.iter().map(|id| (id.as_str(), "a", "run")).collect();
        let expected = "\
a  k  running  <- asked for
├── child-0  k  completed
├── child-1  k  completed
└── 3 more: 2 completed, 1 failed (--all names them)
";
        assert_eq!(drawn(&nodes, &edges, 2), expected);
        assert_eq!(drawn(&nodes, &edges, 4).lines().count(), 6, "one more is named");
    }

    #[test]
    fn a_chain_may_be_as_long_as_a_graph() {
        let ids: Vec<String> = (0..1_000).map(|n| format!("j{n}")).collect();
        let nodes: Vec<_> = ids.iter().map(|id| (id.as_str(), State::Blocked)).collect();
        let edges: Vec<_> =
            ids.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str(), "cancel")).collect();
        assert_eq!(drawn(&nodes, &edges, 20).lines().count(), 1_000);
    }
}
