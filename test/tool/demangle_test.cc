// SPDX-License-Identifier: BSD-2-Clause
//
// Mangled names as compilers write them: C++, both manglings of Rust, and what is none.
#include "tool/demangle.h"

#include <catch2/catch.hpp>

using m9::tool::demangle;
using m9::tool::is_library_function;

TEST_CASE("C++") {
  CHECK(demangle("_ZN4shop9open_shopEv") == "shop::open_shop");
  CHECK(demangle("_ZNSt6vectorIiSaIiEE7reserveEm") == "std::vector<int, std::allocator<int> >::reserve");
  CHECK(demangle("_ZNK4llvm9StringRef3strEv") == "llvm::StringRef::str");
  CHECK(demangle("_ZN4shop9open_shopEv.part.0") == "shop::open_shop");
  CHECK(demangle("_ZN4shop9open_shopEv.constprop.0.cold") == "shop::open_shop");
}

TEST_CASE("Rust, the legacy mangling") {
  CHECK(demangle("_ZN4core3fmt5write17h0123456789abcdefE") == "core::fmt::write");
  CHECK(demangle(
            "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE") ==
        "<Test + 'static as foo::Bar<Test>>::bar");
  CHECK(demangle("_ZN4demo4main17h0123456789abcdefE.llvm.123456789") == "demo::main");
}

TEST_CASE("Rust, version 0") {
  CHECK(demangle("_RNvCs1234_7mycrate3foo") == "mycrate::foo");
  CHECK(demangle("_RNvMs_C4demoNtB4_4Room4open") == "<demo::Room>::open");
  CHECK(demangle("_RINvNtC3std3mem8align_ofjE") == "std::mem::align_of::<usize>");
}

TEST_CASE("what is not mangled") {
  CHECK(demangle("plain_name") == "plain_name");
  CHECK(demangle("plain_name.isra.0") == "plain_name");
  CHECK(demangle("_Z") == "_Z");
  CHECK(demangle("_Rust_is_no_mangling") == "_Rust_is_no_mangling");
  CHECK(demangle("") == "");
  CHECK(demangle("_Z" + std::string(100000, 'S')) == "_Z" + std::string(100000, 'S'));
}

TEST_CASE("the language's own library") {
  CHECK(is_library_function("std::vector<int>::reserve"));
  CHECK(is_library_function("operator new"));
  CHECK(is_library_function("<alloc::vec::Vec<u8> as core::clone::Clone>::clone"));
  CHECK_FALSE(is_library_function("shop::std::f"));
  CHECK_FALSE(is_library_function("stdio_open"));
}
