# SPDX-License-Identifier: BSD-2-Clause
#
# String work in perl: text is built, split, matched, counted, kept in nested tables and joined again.
use strict;
use warnings;

my $state = 12345;
sub pick { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $_[0]; }

my @syllables = map { my $c = $_; map { "$c$_" } qw(a e i o u an el ir or un) } qw(b d f g k l m n p r s t);
my @words = map { join '', map { $syllables[pick(120)] } 1 .. 1 + pick(3) } 1 .. 5000;
my (%count, %lines, @pages);
for my $line (1 .. 24000) {
    my @text = map { $words[pick(5000)] } 1 .. 10;
    my $text = join ' ', @text;
    $count{$_}++ for split / /, $text;
    my %record = (line => $line, text => $text, first => substr($text, 0, 20), words => [split / /, $text]);
    push @{ $lines{ substr $text, 0, 2 } }, \%record;
    (my $changed = $text) =~ s/(\w+)el(\w*)/<$1|$2>/g;
    $pages[pick(300)] = [map { { word => $_, size => length } } split / /, ucfirst $changed];
    shift @{ $lines{ $text[3] } } if exists $lines{ $text[3] };
    delete $lines{ substr $text[5], 0, 2 } if $line % 5 == 0;
}
my @most = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 4];
my $size = 0;
$size += $_->{size} for map { @$_ } grep { defined } @pages;
print scalar(keys %count), ' ', scalar(keys %lines), ' ', join(',', map { "$_:$count{$_}" } @most), " $size\n";
