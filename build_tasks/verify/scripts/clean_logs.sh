#!/usr/bin/env bash
# Check that the helper removes old logs and keeps new ones.
set -e
cd logs
mkdir --parents dag/old dag/new
touch dag/new/1.log
touch --date '20 days ago' dag/old/1.log
timeout 3 /clean-logs || true
test -e dag/new/1.log
test ! -e dag/old
