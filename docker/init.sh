#!/usr/bin/env bash
# Runs before Airflow's components: refuses settings that contradict the profiles, then runs the command given.
# A profile shows by its service, which compose has started before this: all containers share one loopback.
set -euo pipefail

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
refuse() { echo "refused: $1" >&2; exit 1; }

executor=${AIRFLOW__CORE__EXECUTOR:?} endpoint=${AWS_ENDPOINT_URL:-}
redis_port=${REDIS_PORT:-6379} localcloud_port=${LOCALCLOUD_PORT:-5566}

if listens "$redis_port"; then
    [[ $executor == CeleryExecutor ]] || refuse "profile celery is on, but AIRFLOW_EXECUTOR is $executor: set it to CeleryExecutor"
elif [[ $executor == CeleryExecutor ]]; then
    refuse "AIRFLOW_EXECUTOR is CeleryExecutor, but profile celery is off: tasks would never start"
fi

if listens "$localcloud_port"; then
    [[ $endpoint == "http://127.0.0.1:$localcloud_port" ]] ||
        refuse "profile local is on, but AWS_ENDPOINT_URL is '$endpoint': Airflow would work on real accounts; use --env-file .env.localcloud"
elif [[ $endpoint == http://127.0.0.1:* ]]; then
    refuse "AWS_ENDPOINT_URL is $endpoint, but profile local is off: nothing answers there"
fi

exec "$@"
