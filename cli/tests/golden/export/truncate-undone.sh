#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# truncate-undone
#
# ftruncate has flushed and is about to send SETATTR. A store to the part
# that stays makes a write request of the length that the page has now. The
# page cache is cut afterwards, the request is not; its WRITE makes the file
# on the server long again, and the reply tells the client so. Shown on
# Debian's 6.1.192 and 6.12.117, by a plain program too.
#
# A file of 4096 bytes.
#   A.0 truncate 2048
#   B.0 store 0..2048
#
# Written by `mkwrite export`. Exit code: 0 nothing is wrong, 1 something is, 2 it could not run.

if [ $# -lt 1 ]; then
	echo "usage: $0 DIR [ROUNDS]" >&2
	exit 2
fi
command -v xfs_io >/dev/null || PATH=$PATH:/usr/sbin:/sbin
command -v xfs_io >/dev/null || { echo "xfs_io is missing: install xfsprogs" >&2; exit 2; }
file=$1/truncate-undone-$$
rounds=${2:-200}
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
	xfs_io -c 'truncate 0' -c 'pwrite -q -S 0x69 0 4096' -c 'truncate 4096' -c 'fsync' "$file"
	xfs_io \
		-c 'mmap -rw 0 4096' \
		-c 'truncate 2048' \
		"$file" >/dev/null 2>&1 &
	xfs_io \
		-c 'mmap -rw 0 4096' \
		-c 'mwrite -S 0x41 0 2048' \
		"$file" >/dev/null 2>&1 &
	wait
	# What the store holds, as far as that can be had without unmounting.
	xfs_io -c fsync -c 'fadvise -d 0 0' "$file"
	size=$(stat -c %s "$file")
	case " 2048 " in
	*" $size "*) ;;
	*) echo "round $round: the size is $size"; bad=1 ;;
	esac
	cell 0 "41"
	wrong=$((wrong + bad))
	round=$((round + 1))
done
echo "$(basename "$0") on $1: $round rounds, $wrong wrong"
[ $wrong -eq 0 ]
