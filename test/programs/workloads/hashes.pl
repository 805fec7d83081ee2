# SPDX-License-Identifier: BSD-2-Clause
# Hashes, strings, closures, regular expressions, sorting, fork and interpreter threads.
use strict;
use warnings;
use Config;
use Digest::SHA qw(sha256_hex);

my $rounds = shift;
my $state  = 4711;
sub next_number { $state = ($state * 69069 + 1) & 0x7fffffff; return $state >> 8 }

for my $round (1 .. $rounds) {
    my %by_word;
    for my $n (1 .. 20000) {
        my $word = join '', map { chr(97 + (next_number() % 26)) } 1 .. 3 + $n % 9;
        push @{ $by_word{$word} }, { n => $n, text => $word x (1 + $n % 5) };
    }
    my @keys = sort { length $a <=> length $b || $a cmp $b } keys %by_word;
    my $text = join ' ', map { my $k = $_; "$k=" . join ',', map { "$_->{n}:$_->{text}" } @{ $by_word{$k} } } @keys;
    my $hits = () = $text =~ /\b(\w)(\w)\w*\2\1?/g;
    (my $upper = $text) =~ s/([aeiou]+)/uc $1/ge;
    my @closures = map { my $n = $_; sub { return $n * shift } } 1 .. 500;
    my $sum = 0;
    $sum += $_->(3) for @closures;
    print "$round ", scalar(@keys), " $hits $sum ", sha256_hex($upper), "\n";
    delete @by_word{ @keys[ grep { $_ % 2 } 0 .. $#keys ] };
    print scalar(keys %by_word), " left\n";
}

$| = 1;
for my $n (1 .. 6) {
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) { my @list = map { "x" x $_ } 1 .. 500; exit(scalar(@list) % 251 == 249 ? $n : 99) }
    waitpid $pid, 0;
    print "child $n: ", $? >> 8, "\n";
}

if ($Config{useithreads}) {
    require threads;
    my $work    = sub { my $n = shift; my %h = map { $_ => "y" x $_ } 1 .. 400 * $n; return scalar keys %h };
    my @threads = map { threads->create($work, $_) } 1 .. 4;
    print join(' ', map { $_->join } @threads), "\n";
}
