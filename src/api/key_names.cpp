#include "api/key_names.h"

#include <algorithm>
#include <iterator>

namespace vireo::api {
namespace {

struct Key {
  std::string_view name;
  u16 code;
  u16 number;
};
constexpr Key kKeys[] = {
#define KEY(name, code, number) {name, code, number},
#include "api/key_names.inc"
#undef KEY
};

template <class Value>
std::optional<u16> find(Value Key::* what, const Value& value) {
  const auto* found = std::ranges::find(kKeys, value, what);
  return found == std::end(kKeys) ? std::nullopt : std::optional(found->code);
}

}  // namespace

std::optional<u16> key_by_name(std::string_view name) { return find(&Key::name, name); }

std::optional<u16> key_by_number(i64 number) {
  return number < 0 || number > 0xFFFF ? std::nullopt : find(&Key::number, static_cast<u16>(number));
}

}  // namespace vireo::api
