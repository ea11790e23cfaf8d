//! How clients reach a cluster.

use crate::process::shell_quote;
use std::path::PathBuf;
use std::process::Command;

/// The database that holds the extension.
pub const DATABASE: &str = "lakebase";
/// The superuser of every private cluster, whoever runs it.
pub const SUPERUSER: &str = "postgres";

/// Everything a libpq client needs to know.
#[derive(Clone, Debug)]
pub struct Connection {
    pub host: PathBuf,
    pub port: u16,
    pub database: String,
    pub bindir: PathBuf,
}

impl Connection {
    /// The same server, another database.
    pub fn with_database(&self, database: &str) -> Self {
        Self {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// Sets the connection in `command`'s environment, where nothing else of libpq's remains.
    pub fn set_env(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        for (name, value) in self.variables() {
            command.env(name, value);
        }
    }

    /// A client program of the server's own version, run as the present user.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bindir.join(program));
        self.set_env(&mut command);
        command
    }

    /// The lines that `eval` takes.
    pub fn shell_lines(&self) -> String {
        self.variables()
            .iter()
            .map(|(name, value)| format!("export {name}={}\n", shell_quote(value)))
            .collect()
    }

    fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("PGHOST", self.host.display().to_string()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", SUPERUSER.to_owned()),
            ("PGDATABASE", self.database.clone()),
            ("PGBIN", self.bindir.display().to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_lines_are_quoted_exports() {
        let connection = Connection {
            host: PathBuf::from("/a b/socket"),
            port: 5432,
            database: DATABASE.to_owned(),
            bindir: PathBuf::from("/pg/bin"),
        };
        assert_eq!(
            connection.shell_lines(),
            "export PGHOST='/a b/socket'\nexport PGPORT=5432\nexport PGUSER=postgres\n\
             export PGDATABASE=lakebase\nexport PGBIN=/pg/bin\n"
        );
    }
}
