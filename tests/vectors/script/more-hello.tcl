#!/bin/sh
# the next line starts tclsh \
exec tclsh "$0" "$@"
puts "hello from tcl"
