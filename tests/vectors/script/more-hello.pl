#!/usr/bin/perl
use strict;
use warnings;

print "hello from perl\n";

=pod

=head1 NAME

sample - closed documentation

=cut
