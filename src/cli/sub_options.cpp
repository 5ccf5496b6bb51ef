#include "cli/sub_options.h"

#include "api/block_options.h"

namespace vireo::cli {

Result<std::vector<SubOption>> split_sub_options(std::string_view text) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      parts.back() += text[i];
    } else if (text.substr(i).starts_with(",,")) {
      parts.back() += text[i++];
    } else {
      parts.emplace_back();
    }
  }
  std::vector<SubOption> options;
  for (auto& part : parts) {
    if (part.empty()) return fail(ErrorKind::Usage, "\"{}\" has an empty part", text);
    const auto equals = part.find('=');
    if (equals == 0) return fail(ErrorKind::Usage, "\"{}\": the name before '=' is missing", text);
    if (equals == std::string::npos) {
      options.push_back({std::move(part), std::nullopt});
    } else {
      options.push_back({part.substr(0, equals), part.substr(equals + 1)});
    }
  }
  return options;
}

Result<std::string> parse_id(const std::string& text, std::size_t longest) {
  if (api::is_identifier(text, longest)) return text;
  return fail(ErrorKind::Usage, "id={} is not a name: a letter, then up to {} letters, digits, '-', '.' and '_'", text,
              longest - 1);
}

}  // namespace vireo::cli
