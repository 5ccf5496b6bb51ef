// Values as the verifier knows them: sums of symbols with factors, and a constant, modulo 2^64. A symbol is something
// whose value is not known but that has one. What cannot be said that way becomes a new symbol.
#pragma once

#include <array>
#include <deque>
#include <optional>

#include "base/types.h"

namespace vireo::cpu::translate::verify {

struct Value {
  struct Term {
    u32 symbol = 0;
    u64 factor = 0;
    bool operator==(const Term&) const = default;
  };
  static constexpr unsigned kTerms = 6;
  std::array<Term, kTerms> terms{};  ///< by symbol, without gaps
  u8 count = 0;
  u64 constant = 0;
  bool operator==(const Value&) const = default;

  bool is_constant() const { return count == 0; }
  u64 factor_of(u32 symbol) const {
    for (unsigned i = 0; i < count; ++i) {
      if (terms[i].symbol == symbol) return terms[i].factor;
    }
    return 0;
  }
};

/// What a symbol stands for; two of the same are one.
struct Symbol {
  enum class Kind : u8 {
    Unknown,
    SlotBase,    ///< number: slot
    SlotDelta,   ///< number: slot
    ZeroExtend,  ///< the low 32 bits of `of`
    LowWord,     ///< the low 16 bits of `of`
    PageShift,   ///< `of` shifted so that its page number is that of a page entry
    PageIndex,   ///< the offset of the page entry for `of`
    PageTag,     ///< `of` xor the tag of its page entry; number: view and access
    PageDelta,   ///< of the page entry for `of`; number: view
  };
  Kind kind = Kind::Unknown;
  u32 number = 0;
  Value of{};
  bool operator==(const Symbol&) const = default;
};

class Symbols {
 public:
  u32 fresh_symbol() {
    all_.push_back({});
    return static_cast<u32>(all_.size() - 1);
  }
  Value fresh() { return of(fresh_symbol()); }
  Value of(const Symbol& symbol) {
    for (u32 i = 0; i < all_.size(); ++i) {
      if (symbol.kind != Symbol::Kind::Unknown && all_[i] == symbol) return of(i);
    }
    all_.push_back(symbol);
    return of(static_cast<u32>(all_.size() - 1));
  }
  static Value constant(u64 value) {
    Value made;
    made.constant = value;
    return made;
  }
  /// a + b * factor, or something new when it has too many terms.
  Value sum(const Value& a, const Value& b, u64 factor = 1) {
    Value made;
    made.constant = a.constant + b.constant * factor;
    unsigned i = 0, k = 0;
    while (i < a.count || k < b.count) {
      Value::Term term;
      if (k == b.count || (i < a.count && a.terms[i].symbol < b.terms[k].symbol)) {
        term = a.terms[i++];
      } else if (i == a.count || b.terms[k].symbol < a.terms[i].symbol) {
        term = {.symbol = b.terms[k].symbol, .factor = b.terms[k].factor * factor};
        ++k;
      } else {
        term = {.symbol = a.terms[i].symbol, .factor = a.terms[i].factor + b.terms[k].factor * factor};
        ++i, ++k;
      }
      if (term.factor == 0) continue;
      if (made.count == Value::kTerms) return fresh();
      made.terms[made.count++] = term;
    }
    return made;
  }
  Value plus(const Value& a, u64 constant) {
    Value made = a;
    made.constant += constant;
    return made;
  }
  Value zero_extended(const Value& a) {
    if (a.is_constant()) return constant(static_cast<u32>(a.constant));
    Value low = a;  // the upper halves make no difference
    low.constant = static_cast<u32>(low.constant);
    return of({.kind = Symbol::Kind::ZeroExtend, .number = 0, .of = low});
  }
  /// The symbol, when the value is nothing but one.
  const Symbol* single(const Value& value) const {
    const bool alone = value.count == 1 && value.constant == 0 && value.terms[0].factor == 1;
    return alone ? &all_[value.terms[0].symbol] : nullptr;
  }
  const Symbol& symbol(u32 number) const { return all_[number]; }

 private:
  static Value of(u32 symbol) {
    Value made;
    made.terms[0] = {.symbol = symbol, .factor = 1};
    made.count = 1;
    return made;
  }
  std::deque<Symbol> all_;
};

}  // namespace vireo::cpu::translate::verify
