# Two images: `docker build --target localcloud .` is AWS on one machine, `docker build .` is Airflow with the package.

# Debian 12 has MariaDB 10.11, the oldest that localcloud knows.
FROM python:3.11.13-slim-bookworm AS localcloud
RUN apt-get update \
    && apt-get install --yes --no-install-recommends "mariadb-server=1:10.11.*" "mariadb-backup=1:10.11.*" \
    && rm -rf /var/lib/apt/lists/* /var/lib/mysql \
    && useradd --uid 10001 --create-home localcloud \
    && install --directory --owner localcloud --group localcloud /var/lib/localcloud
WORKDIR /opt/localcloud
COPY requirements-localcloud.txt ./
RUN pip install --no-cache-dir -r requirements-localcloud.txt
COPY localcloud ./localcloud
USER 10001
ENV LOCALCLOUD_HOME=/var/lib/localcloud PYTHONUNBUFFERED=1
CMD ["python", "-m", "localcloud", "up", "--foreground", "--seed"]

# The slim image has Airflow alone. The full one has eighty providers, whose pins contradict ours.
FROM apache/airflow:slim-3.3.2-python3.11 AS airflow
COPY --chown=50000:0 requirements-image.txt /opt/airflow/requirements.txt
RUN pip install --no-cache-dir -r /opt/airflow/requirements.txt \
    && mkdir -p /opt/airflow/auth
COPY --chown=50000:0 include /opt/airflow/include
COPY --chown=50000:0 plugins /opt/airflow/plugins
COPY --chown=50000:0 dags /opt/airflow/dags
USER 50000
