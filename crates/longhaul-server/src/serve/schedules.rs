//! The file of schedules that a server is started with.

use std::path::Path;

use longhaul::Longhaul;

use crate::Result;

/// Keeps the schedules of a file, and deletes those that came from it and are in it no more.
///
/// # Errors
/// Fails where the file cannot be read, with all that is wrong in it.
pub(super) async fn load(longhaul: &Longhaul, file: &Path) -> Result<()> {
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("failed to read the schedules of {name}: {error}"))?;
    let table: serde_json::Value =
        toml::from_str(&text).map_err(|error| format!("failed to read the schedules of {name}: {error}"))?;
    let schedules = longhaul_http::schedules_of_file(longhaul, &table.to_string())
        .map_err(|wrong| format!("failed to read the schedules of {name}:\n{wrong}"))?;
    tracing::info!(schedules = schedules.len(), file = %name, "keeping the schedules of a file");
    longhaul.schedules().put_file(schedules).await?;
    Ok(())
}
