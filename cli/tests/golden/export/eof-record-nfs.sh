#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# eof-record-nfs
#
# The same with a write request instead of blocks. The request covers what
# was below i_size. A write to the next page makes the file grow; a store to
# the rest of the first page lies outside the range of its request, and no
# fault tells NFS about it. The server never sees it. Replayed on Debian's
# 6.1.192 and 6.12.117.
#
# A file of 2048 bytes.
#   A.0 store 0..2048
#   A.1 write 4096..6144
#   A.2 store 2048..4096
#
# Written by `mkwrite export`. Exit code: 0 nothing is wrong, 1 something is, 2 it could not run.

if [ $# -lt 1 ]; then
	echo "usage: $0 DIR [ROUNDS]" >&2
	exit 2
fi
command -v xfs_io >/dev/null || PATH=$PATH:/usr/sbin:/sbin
command -v xfs_io >/dev/null || { echo "xfs_io is missing: install xfsprogs" >&2; exit 2; }
file=$1/eof-record-nfs-$$
rounds=${2:-1}
: >"$file" || exit 2
trap 'rm -f "$file"' EXIT
wrong=0

# cell NUMBER BYTES: each byte of this cell is one of these, in hexadecimal.
cell() {
	[ $(($1 * 2048)) -lt "$size" ] || return 0
	for byte in $(dd if="$file" bs=2048 skip="$1" count=1 2>/dev/null | od -An -v -tx1 | tr -s ' ' '\n' | sort -u); do
		case " $2 " in
		*" $byte "*) ;;
		*)
			echo "round $round: cell $1 (at $(($1 * 2048))) holds 0x$byte, and may hold: $2"
			bad=1
			;;
		esac
	done
}

round=0
while [ $round -lt "$rounds" ]; do
	bad=0
	xfs_io -c 'truncate 0' -c 'pwrite -q -S 0x69 0 2048' -c 'truncate 2048' -c 'fsync' "$file"
	xfs_io \
		-c 'mmap -rw 0 8192' \
		-c 'mwrite -S 0x41 0 2048' \
		-c 'pwrite -q -S 0x42 4096 2048' \
		-c 'mwrite -S 0x43 2048 2048' \
		"$file" >/dev/null 2>&1
	# What the store holds, as far as that can be had without unmounting.
	xfs_io -c fsync -c 'fadvise -d 0 0' "$file"
	size=$(stat -c %s "$file")
	case " 6144 " in
	*" $size "*) ;;
	*) echo "round $round: the size is $size"; bad=1 ;;
	esac
	cell 0 "41"
	cell 1 "43"
	cell 2 "42"
	wrong=$((wrong + bad))
	round=$((round + 1))
done
echo "$(basename "$0") on $1: $round rounds, $wrong wrong"
[ $wrong -eq 0 ]
