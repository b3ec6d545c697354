//! Runs the fakes by hand, and says how to point a server at them.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use fakes::Double;
use tokio::net::TcpListener;

const HELP: &str = "\
Stand-ins for the outside systems of the services, for trying things out without a network.

Usage: fakes [--listen ADDRESS:PORT] [--pace MS]

  --listen ADDRESS:PORT   where to listen, a loopback address [default: 127.0.0.1:0, a free port]
  --pace MS               milliseconds before each word of the model, so that it can be seen to write [default: 0]
  --help                  print this

Prints the variables that point a server at them, to be used like this:

  cargo run -p fakes -- --listen 127.0.0.1:9000 --pace 50 &
  LLM_BASE_URL=http://127.0.0.1:9000/v1 cargo run -p longhaul-server -- serve";

struct Options {
    listen: SocketAddr,
    pace: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let options = match parse(&arguments) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let listener = match TcpListener::bind(options.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("failed to listen on {}: {error}", options.listen);
            return ExitCode::FAILURE;
        }
    };
    let double = Double::start_on(listener);
    double.set_pause(options.pace);
    for (variable, value) in double.exports() {
        println!("export {variable}={value}");
    }
    println!("# Sessions are dispatched to the server itself; to the double instead with:");
    println!("# export PYTHON_API_URL={}", double.python_api());
    eprintln!("The fakes answer until you press Ctrl-C. Paste the lines above where the server is started.");
    double.run().await;
    ExitCode::SUCCESS
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options { listen: SocketAddr::from(([127, 0, 0, 1], 0)), pace: Duration::ZERO };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        // Both `--pace 50` and `--pace=50`, as people write them.
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (argument.as_str(), rest.next().cloned()),
        };
        let value = value.ok_or_else(|| format!("{flag} needs a value"))?;
        match flag {
            "--listen" => {
                options.listen =
                    value.parse().map_err(|_| format!("--listen must be ADDRESS:PORT, and is '{value}'"))?;
                if !options.listen.ip().is_loopback() {
                    return Err("--listen must be a loopback address: the fakes trust everybody".into());
                }
            }
            "--pace" => {
                let pace =
                    value.parse().map_err(|_| format!("--pace must be milliseconds, and is '{value}'"))?;
                options.pace = Duration::from_millis(pace);
            }
            _ => return Err(format!("there is no option {flag}")),
        }
    }
    Ok(options)
}
