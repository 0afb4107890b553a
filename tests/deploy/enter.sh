#!/bin/bash
# Inside new mount, process and host name spaces: build what a container of docker-compose.yml sees, and become it.
#
#   enter.sh ROOT HOSTNAME WRITABLE SECRETS READABLE… -- COMMAND…
#
# ROOT is an empty folder; WRITABLE becomes /data and SECRETS /run/secrets; each READABLE stays where it is. The root
# file system is read-only, /tmp is in memory and runs no programs, nobody has a name or a capability.
set -eu
root=$1 name=$2 writable=$3 secrets=$4
shift 4

readable_file() { # readable_file FROM TO
    mount --bind "$1" "$root$2"
    mount -o remount,bind,ro,nosuid "$root$2"
}
readable() { # readable FOLDER
    mkdir -p "$root$1"
    readable_file "$1" "$1"
}

mount --make-rprivate /
mount -t tmpfs -o mode=755,size=16m none "$root"
for folder in /bin /sbin /lib /lib32 /lib64 /usr; do
    if [ -L "$folder" ]; then cp -a "$folder" "$root$folder"; elif [ -d "$folder" ]; then readable "$folder"; fi
done
mkdir -p "$root"/{data,dev,etc,proc,tmp}
for file in ld.so.cache ld.so.conf localtime ssl; do
    if [ -e "/etc/$file" ]; then cp -aL "/etc/$file" "$root/etc/"; fi
done
printf 'root:x:0:0::/root:/bin/sh\n' > "$root/etc/passwd"
printf '127.0.0.1 localhost %s\n' "$name" > "$root/etc/hosts"
# One file at a time, past a folder that only root may enter.
mkdir -p "$root/run/secrets"
for file in "$secrets"/*; do
    touch "$root/run/secrets/${file##*/}"
    readable_file "$file" "/run/secrets/${file##*/}"
done
mount --bind "$writable" "$root/data"
while [ "$1" != -- ]; do readable "$1"; shift; done
shift
if [ -d /sys/fs/cgroup ]; then readable /sys; mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"; fi
for device in null zero full random urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o mode=1777,size=1g,nosuid,nodev,noexec none "$root/tmp"
hostname "$name"
mount -o remount,ro "$root"
exec chroot "$root" /usr/bin/setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all -- "$@"
