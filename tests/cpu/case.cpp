#include "case.h"

#include <charconv>
#include <fstream>
#include <iterator>
#include <string_view>

namespace vireo::test {
namespace {

Result<u64> number(std::string_view text, u64 most) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > most)
    return fail(ErrorKind::Usage, "'{}' is no number up to {}", text, most);
  return value;
}

Result<> apply(Case& test, std::string_view key, std::string_view value) {
  if (key == "cpus") {
    TRY_ASSIGN(const u64 cpus, number(value, 8));
    test.cpus = static_cast<unsigned>(cpus);
  } else if (key == "high-memory") {
    TRY_ASSIGN(const u64 mib, number(value, 1024));
    test.high_ram = mib * kMiB;
  } else if (key == "timeout") {
    TRY_ASSIGN(const u64 seconds, number(value, 300));
    test.timeout = std::chrono::seconds(seconds);
  } else if (key == "kvm") {
    if (value != "hardware") return fail(ErrorKind::Usage, "'kvm: {}' is not hardware", value);
    test.kvm_needs_hardware = true;
  } else if (key == "expect") {
    if (value == "triple-fault") {
      test.expect = Case::Expect::TripleFault;
    } else if (value != "pass") {
      return fail(ErrorKind::Usage, "'expect: {}' is neither pass nor triple-fault", value);
    }
  }
  return {};  // another line of prose, or one for the build
}

}  // namespace

Result<Case> read_case(const std::string& source, const std::string& program) {
  Case test;
  std::ifstream text(source);
  if (!text) return fail(ErrorKind::NotFound, "{}: cannot be read", source);
  for (std::string line; std::getline(text, line) && line.starts_with(';');) {
    const auto colon = line.find(": ");
    if (colon == std::string::npos || colon < 2) continue;
    const std::string_view view = line;
    if (auto applied = apply(test, view.substr(2, colon - 2), view.substr(colon + 2)); !applied)
      return fail(ErrorKind::Usage, "{}: {}", source, applied.error().message);
  }
  std::ifstream bytes(program, std::ios::binary);
  if (!bytes) return fail(ErrorKind::NotFound, "{}: cannot be read", program);
  test.program.assign(std::istreambuf_iterator<char>(bytes), std::istreambuf_iterator<char>());
  return test;
}

}  // namespace vireo::test
