# SPDX-License-Identifier: BSD-2-Clause
"""Prints a database dump with queries in between: many small statements, as an import does them, then large ones."""
import random

LARGE = """
create index person_city on person(city, born);
select city, count(distinct what), round(avg(price), 3) from sale join person on sale.person = person.id
  group by city order by 2 desc, 1 limit 5;
update sale set what = upper(what) || '!' where id % 3 = 0;
select length(group_concat(what, ';')), max(what) from sale where person % 10 = 3;
select count(*) from (select what, replace(printf('%08d-%s', id, what), '-', '+') as t from sale order by t desc);
delete from sale where id % 4 = 1;
select count(*), round(total(price), 2) from sale;
"""


def main():
    source = random.Random(3)
    print("create table person(id integer primary key, name text, city text, born integer);")
    print("create table sale(id integer primary key, person integer, what text, price real);")
    print("create index sale_person on sale(person);\nbegin;")
    for i in range(20000):
        name, city, born = source.randrange(40000), source.randrange(900), 1930 + source.randrange(80)
        print(f"insert into person values({i}, 'name{name}', 'city{city}', {born});")
    for i in range(40000):
        person, what, price = source.randrange(20000), source.randrange(5000), source.randrange(9000) / 7
        print(f"insert into sale values({i}, {person}, 'thing {what:04x}', {price:.2f});")
        if i % 8 == 0:
            print("select name, sum(price), max(what) from sale join person on sale.person = person.id"
                  f" where person = {source.randrange(20000)} group by name;")
    print("commit;" + LARGE)


main()
