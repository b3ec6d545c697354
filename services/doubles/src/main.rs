//! Runs the doubles by hand, and says how to point a server at them.

use doubles::Double;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let double = Double::start().await;
    println!("export LLM_BASE_URL={}", double.v1());
    println!("export EMBEDDING_BASE_URL={} EMBEDDING_MODEL=double", double.v1());
    println!("export AI_BRAIN_ENDPOINT={}", double.url());
    println!("export GITHUB_API_URL={}", double.github_url());
    eprintln!(
        "The doubles answer until you press Ctrl-C. Paste the lines above where the server is started."
    );
    double.run().await;
}
