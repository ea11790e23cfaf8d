# Makes a cluster in an empty volume, and becomes the server. What is given beside it are arguments of the server's.
#
# POSTGRES_PASSWORD, or POSTGRES_PASSWORD_FILE, is the password of `postgres` for connections from outside of the container;
# without one there are none.

if [ ! -e "$PGDATA/PG_VERSION" ]; then
    new=$PGDATA.new
    rm -rf "$new"
    password=${POSTGRES_PASSWORD:-}
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        password=$(cat "$POSTGRES_PASSWORD_FILE")
    fi
    arguments=()
    listen=
    if [ -n "$password" ]; then
        listen='*'
        (umask 0077 && printf '%s\n' "$password" >"$new.password")
        arguments+=(--pwfile="$new.password")
    fi
    initdb --pgdata="$new" --username=postgres --auth-local=peer --auth-host=scram-sha-256 --locale-provider=builtin \
        --builtin-locale=C.UTF-8 --locale=C --encoding=UTF8 --no-instructions "${arguments[@]}"
    rm -f "$new.password"
    cat >>"$new/postgresql.conf" <<END
listen_addresses = '$listen'
shared_preload_libraries = 'pg_iceberg_am'
max_worker_processes = 16
END
    if [ -n "$password" ]; then
        echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"
    fi
    printf '%s\n' 'CREATE EXTENSION pg_iceberg_am' |
        postgres --single -D "$new" -c exit_on_error=true postgres >/dev/null
    mv "$new" "$PGDATA"
fi
unset POSTGRES_PASSWORD POSTGRES_PASSWORD_FILE password
exec postgres "$@"
