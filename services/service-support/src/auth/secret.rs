use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Reads the secret, or makes it. Several processes may start at once on one folder: the secret is written aside
/// and linked into place, which only one of them can do, and never shows half a secret.
pub(super) fn kept_secret(path: &Path) -> io::Result<Vec<u8>> {
    if let Ok(file) = fs::symlink_metadata(path) {
        guard(path, &file)?;
    }
    match fs::read(path) {
        Ok(secret) if secret.len() >= 32 => return Ok(secret),
        Ok(_) => return Err(io::Error::other("it is shorter than 32 bytes")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let secret: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    let aside = path.with_extension(format!("{}.tmp", uuid::Uuid::new_v4()));
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&aside)?;
    let linked = file
        .write_all(secret.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&aside, path));
    fs::remove_file(&aside)?;
    match linked {
        Ok(()) => Ok(secret.into_bytes()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => fs::read(path),
        Err(e) => Err(e),
    }
}

/// Refuses a file that another user has put there, or could put another one in the place of, and closes one that others
/// can read.
fn guard(path: &Path, file: &fs::Metadata) -> io::Result<()> {
    if !file.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let (owner, me) = (file.uid(), rustix::process::geteuid().as_raw());
    if owner != me && owner != 0 {
        return Err(io::Error::other("it belongs to another user"));
    }
    if file.mode() & 0o077 != 0 && owner == me {
        tracing::warn!(
            "{} could be read by others: it is closed now. Whoever has read it can sign tokens until it is removed, which \
             makes all tokens void",
            path.display()
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}
