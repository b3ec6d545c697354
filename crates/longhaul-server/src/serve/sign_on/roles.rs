use std::str::FromStr;

use longhaul_http::Role;

/// The roles of groups: `ops=operator,admins=admin,*=viewer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles(Vec<(String, Role)>);

/// Stands for everybody who is signed in.
const EVERYBODY: &str = "*";

impl Roles {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The highest role of a user in these groups.
    pub(super) fn of(&self, groups: &[String]) -> Option<Role> {
        let fits = |group: &String| group == EVERYBODY || groups.contains(group);
        self.0.iter().filter(|(group, _)| fits(group)).map(|(_, role)| *role).max()
    }
}

impl FromStr for Roles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let role = |part: &str| {
            // A group may be a path or an address, which have no = at their end.
            let (group, role) = part.rsplit_once('=').unwrap_or((part, ""));
            let role = role.trim().parse().map_err(|_| {
                format!("'{part}' must be GROUP=ROLE, with a role of viewer, operator or admin")
            })?;
            Ok((group.trim().to_owned(), role))
        };
        Ok(Self(parts.map(role).collect::<Result<_, String>>()?))
    }
}
