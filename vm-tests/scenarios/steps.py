"""What scenarios share. README.md beside this file says what they may use."""

import shlex

DATA = "/var/lib/postgresql/17"


def as_postgres(command):
    """The command line that runs a command as PostgreSQL's account."""
    return f"cd / && runuser -u postgres -- {command}"


def psql(statement, database="postgres"):
    """The command line that executes a statement and prints its rows."""
    options = f"--no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname={database}"
    return as_postgres(f"psql {options} --command={shlex.quote(statement)}")


def sql(machine, statement, database="postgres"):
    """The rows of a statement, as text."""
    return machine.succeed(psql(statement, database)).strip()


def expect(machine, statement, wanted, database="postgres"):
    """Fails unless the statement gives this."""
    found = sql(machine, statement, database)
    assert found == wanted, f"{statement} gives {found!r}, not {wanted!r}"


def await_sql(machine, statement, wanted, database="postgres", timeout=120):
    """Waits until the statement gives this."""
    found = psql(statement, database)
    machine.wait_until_succeeds(f'test "$({found})" = {shlex.quote(wanted)}', timeout=timeout)


def ready(machine):
    """Waits until the server and what is declared are there."""
    machine.wait_for_unit("postgresql.target")
    await_sql(machine, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_iceberg_am'", "1")


def lake(machine):
    """The same, with the tablespace in the store."""
    ready(machine)
    await_sql(machine, "SELECT count(*) FROM pg_tablespace WHERE spcname = 'lake'", "1")


def switch_configuration(machine, name):
    """Has the machine go on with another configuration."""
    on_nixos = f"/run/booted-system/specialisation/{name}/bin/switch-to-configuration"
    machine.succeed(f"if test -x {on_nixos}; then {on_nixos} test; else switch-configuration {name}; fi")
