#include "block/seed/seed.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "block/seed/iso9660.h"

namespace vireo::block {
namespace {

Result<> check_user_data(std::string_view text) {
  if (text.size() > kMaxUserData) {
    return fail(ErrorKind::Usage, "the user data is larger than {} KiB", kMaxUserData >> 10);
  }
  // cloud-init ignores what begins otherwise, without a word.
  constexpr std::array<std::string_view, 4> kBeginnings = {"#", "Content-Type:", "MIME-Version:", "From "};
  if (!text.empty() && std::none_of(kBeginnings.begin(), kBeginnings.end(),
                                    [&](std::string_view beginning) { return text.starts_with(beginning); })) {
    return fail(ErrorKind::Usage,
                "the user data is none that cloud-init knows; its first line should be #cloud-config");
  }
  return {};
}

Result<> check_hostname(std::string_view name) {
  bool good = name.size() <= 253;
  std::size_t label = 0;
  for (std::size_t i = 0; i <= name.size() && good && !name.empty(); ++i) {
    if (i < name.size() && name[i] != '.') {
      const auto c = static_cast<unsigned char>(name[i]);
      const bool inner = label > 0 && i + 1 < name.size() && name[i + 1] != '.';
      good = ++label <= 63 && (std::isalnum(c) != 0 || (c == '-' && inner));
    } else {
      good = label > 0;
      label = 0;
    }
  }
  if (!good) {
    return fail(ErrorKind::Usage, "the host name \"{}\" is none; use letters, digits and '-', with '.' between parts",
                name);
  }
  return {};
}

/// The keys, a line each.
Result<std::vector<std::string_view>> split_keys(std::string_view text) {
  if (text.size() > kMaxSshKeys) return fail(ErrorKind::Usage, "the ssh key is larger than {} KiB", kMaxSshKeys >> 10);
  if (text.find("PRIVATE KEY") != std::string_view::npos) {
    return fail(ErrorKind::Usage, "the ssh key is a private one; name the public one, FILE.pub");
  }
  std::vector<std::string_view> keys;
  while (!text.empty()) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    constexpr std::array<std::string_view, 3> kKinds = {"ssh-", "ecdsa-sha2-", "sk-"};
    const bool known = std::any_of(kKinds.begin(), kKinds.end(), [&](auto kind) { return line.starts_with(kind); });
    const bool printable = std::none_of(line.begin(), line.end(), [](unsigned char c) { return std::iscntrl(c) != 0; });
    if (!known || !printable || line.find(' ') == std::string_view::npos) {
      return fail(ErrorKind::Usage,
                  "the ssh key has a line that is no public key, which looks like \"ssh-ed25519 AAAA...\"");
    }
    keys.push_back(line);
  }
  return keys;
}

/// A YAML scalar that means this text, which has no control characters.
std::string quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "''" : std::string(1, c);
  return result + "'";
}

/// FNV-1a, 64 bits: tells seeds apart, which nobody has a reason to forge.
u64 fingerprint(std::initializer_list<std::string_view> texts) {
  u64 hash = 0xcbf29ce484222325;
  for (const auto text : texts) {
    for (const unsigned char c : text) hash = (hash ^ c) * 0x100000001b3;
    hash = (hash ^ text.size()) * 0x100000001b3;
  }
  return hash;
}

}  // namespace

Result<std::vector<u8>> make_seed(const Seed& seed) {
  TRY(check_user_data(seed.user_data));
  TRY(check_hostname(seed.hostname));
  TRY_ASSIGN(const auto keys, split_keys(seed.ssh_keys));
  if (!seed.ssh_keys.empty() && keys.empty())
    return fail(ErrorKind::Usage, "the ssh key is missing: there are comments only");

  // dsmode: everything is here, so nothing has to wait for a network.
  std::string meta_data = fmt::format("instance-id: vireo-{:016x}\ndsmode: local\n",
                                      fingerprint({seed.user_data, seed.ssh_keys, seed.hostname}));
  if (!seed.hostname.empty()) meta_data += fmt::format("local-hostname: {}\n", quoted(seed.hostname));
  if (!keys.empty()) meta_data += "public-keys:\n";
  for (const auto key : keys) meta_data += fmt::format("  - {}\n", quoted(key));
  const std::string_view user_data = seed.user_data.empty() ? "#cloud-config\n{}\n" : std::string_view(seed.user_data);
  return make_iso9660("cidata", std::array{IsoFile{"user-data", user_data}, IsoFile{"meta-data", meta_data}});
}

}  // namespace vireo::block
