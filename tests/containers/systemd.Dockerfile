# A machine with systemd on which the units are installed. Its context: deploy/systemd.
FROM farmesh-chat
USER root
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd \
    && ln -s /app /opt/farmesh-chat && ln -s /venv /app/.venv && mkdir /etc/farmesh
COPY *.service /etc/systemd/system/
STOPSIGNAL SIGRTMIN+3
HEALTHCHECK NONE
# Docker mounts the control groups read-only: one hierarchy (version 2), or one for systemd (version 1).
ENTRYPOINT ["sh", "-c", "for groups in /sys/fs/cgroup /sys/fs/cgroup/systemd; do mount -o remount,bind,rw $groups; done; export container=docker; exec /lib/systemd/systemd"]
CMD []
