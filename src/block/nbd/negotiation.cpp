#include "block/nbd/negotiation.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"

namespace vireo::block::nbd {
namespace {

constexpr std::size_t kGreetingSize = 18, kReplyHeadSize = 20;
constexpr u32 kMaxReply = 64 * kKiB;  ///< bytes; no answer to what is asked here is near that
constexpr unsigned kMaxReplies = 64;

template <class T>
void put(std::vector<u8>& bytes, T value) {
  bytes.resize(bytes.size() + sizeof(T));
  store_be(bytes.data() + bytes.size() - sizeof(T), value);
}

/// A message of the server, of which a terminal can be shown.
std::string quoted(std::span<const u8> text) {
  std::string shown;
  for (const u8 c : text.first(std::min<std::size_t>(text.size(), 200))) {
    shown += c >= ' ' && c < 0x7F ? static_cast<char>(c) : '?';
  }
  return shown.empty() ? "" : fmt::format(" (it says: {})", shown);
}

std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorKind::Usage, "the server does not speak NBD as it should: {}", what);
}

}  // namespace

Negotiation::Negotiation(std::string export_name, bool tls) : name_(std::move(export_name)), tls_(tls) {}

void Negotiation::ask(Option option, std::span<const u8> data) {
  put<u64>(output_, kIHaveOpt);
  put<u32>(output_, option);
  put<u32>(output_, static_cast<u32>(data.size()));
  output_.insert(output_.end(), data.begin(), data.end());
}

void Negotiation::ask_to_go() {
  std::vector<u8> data;
  put<u32>(data, static_cast<u32>(name_.size()));
  data.insert(data.end(), name_.begin(), name_.end());
  put<u16>(data, 1);
  put<u16>(data, NBD_INFO_BLOCK_SIZE);
  ask(NBD_OPT_GO, data);
  step_ = Step::Go;
}

Option Negotiation::asked() const {
  return step_ == Step::StartTls          ? NBD_OPT_STARTTLS
         : step_ == Step::StructuredReply ? NBD_OPT_STRUCTURED_REPLY
                                          : NBD_OPT_GO;
}

void Negotiation::secured() {
  step_ = Step::StructuredReply;
  ask(NBD_OPT_STRUCTURED_REPLY);
}

Result<> Negotiation::greet(std::span<const u8> greeting) {
  if (load_be<u64>(greeting.data()) != kNbdMagic) return fail(ErrorKind::Usage, "what answers is no NBD server");
  const u64 style = load_be<u64>(greeting.data() + 8);
  const u16 flags = load_be<u16>(greeting.data() + 16);
  if (style == kOldMagic || (style == kIHaveOpt && (flags & NBD_FLAG_FIXED_NEWSTYLE) == 0)) {
    return fail(ErrorKind::Usage, "the server is too old: it does not have the fixed newstyle negotiation");
  }
  if (style != kIHaveOpt) return broken("an unknown greeting");
  const u32 no_zeroes = NBD_FLAG_C_NO_ZEROES;
  put<u32>(output_, NBD_FLAG_C_FIXED_NEWSTYLE | ((flags & NBD_FLAG_NO_ZEROES) != 0 ? no_zeroes : 0));
  if (tls_) {
    step_ = Step::StartTls;
    ask(NBD_OPT_STARTTLS);
  } else {
    step_ = Step::StructuredReply;
    ask(NBD_OPT_STRUCTURED_REPLY);
  }
  return {};
}

Result<> Negotiation::take_sizes(std::span<const u8> sizes) {
  if (sizes.size() != 12) return broken("block sizes of another length");
  const u32 minimum = load_be<u32>(sizes.data()), maximum = load_be<u32>(sizes.data() + 8);
  if (!std::has_single_bit(minimum) || minimum > 64 * kKiB) return broken("an impossible block size");
  if (maximum < minimum) return broken("its largest request is smaller than a block");
  export_.minimum_block = minimum;
  export_.maximum_payload = std::min(maximum, kDefaultMaxPayload) / minimum * minimum;
  return {};
}

Result<> Negotiation::take_info(std::span<const u8> info) {
  if (info.size() < 2) return broken("an information without its type");
  const u16 type = load_be<u16>(info.data());
  if (type == NBD_INFO_BLOCK_SIZE) return take_sizes(info.subspan(2));
  if (type != NBD_INFO_EXPORT) return {};  // names and descriptions; the server may send what was not asked for
  if (info.size() != 12) return broken("an export's information of another length");
  export_.size = load_be<u64>(info.data() + 2);
  export_.flags = load_be<u16>(info.data() + 10);
  knows_export_ = true;
  return {};
}

Result<> Negotiation::finish() {
  if (!knows_export_) return broken("it does not say how large the export is");
  if (!export_.has(NBD_FLAG_HAS_FLAGS)) return broken("it does not say what the export can do");
  if (export_.size > static_cast<u64>(INT64_MAX)) return broken("an impossible size");
  step_ = Step::Done;
  return {};
}

Result<> Negotiation::take_reply(const Reply& reply) {
  switch (step_) {
    case Step::StartTls:
      if (reply.type == NBD_REP_ACK) {
        step_ = Step::Handshake;
        return {};
      }
      return fail(ErrorKind::Denied, "the server does not do TLS{}", quoted(reply.data));
    case Step::StructuredReply:
      if (reply.type == NBD_REP_ERR_TLS_REQD) break;
      export_.structured = reply.type == NBD_REP_ACK;
      ask_to_go();
      return {};
    default:
      if (reply.type == NBD_REP_ACK) return finish();
      if (reply.type == NBD_REP_INFO) return take_info(reply.data);
  }
  const auto said = quoted(reply.data);
  switch (reply.type) {
    case NBD_REP_ERR_TLS_REQD:
      return fail(ErrorKind::Denied, "the server wants TLS: use nbds:// (nbds+unix://){}", said);
    case NBD_REP_ERR_UNKNOWN:
      return fail(ErrorKind::NotFound, "the server has no export \"{}\"{}", name_, said);
    case NBD_REP_ERR_POLICY:
      return fail(ErrorKind::Denied, "the server refuses the export \"{}\"{}", name_, said);
    case NBD_REP_ERR_SHUTDOWN:
      return fail(ErrorKind::WrongState, "the server is shutting down{}", said);
    case NBD_REP_ERR_UNSUP:
      return fail(ErrorKind::Usage, "the server is too old: it does not have NBD_OPT_GO{}", said);
    default:
      return fail(ErrorKind::Failed, "the server refuses the export \"{}\" with error {:#x}{}", name_, reply.type,
                  said);
  }
}

Result<Negotiation::State> Negotiation::feed(std::vector<u8>& received) {
  std::size_t used = 0;
  while (step_ != Step::Done && step_ != Step::Handshake) {
    const auto rest = std::span<const u8>(received).subspan(used);
    if (step_ == Step::Greeting) {
      if (rest.size() < kGreetingSize) break;
      TRY(greet(rest.first(kGreetingSize)));
      used += kGreetingSize;
      continue;
    }
    if (rest.size() < kReplyHeadSize) break;
    const u32 option = load_be<u32>(rest.data() + 8), length = load_be<u32>(rest.data() + 16);
    if (load_be<u64>(rest.data()) != kOptionReplyMagic) return broken("no answer where one should be");
    if (option != asked()) return broken("an answer to what was not asked");
    if (length > kMaxReply) return broken("an answer without end");
    if (rest.size() - kReplyHeadSize < length) break;
    if (++replies_ > kMaxReplies) return broken("answers without end");
    TRY(take_reply({load_be<u32>(rest.data() + 12), rest.subspan(kReplyHeadSize, length)}));
    used += kReplyHeadSize + length;
  }
  received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(used));
  if (step_ == Step::Done) return State::Done;
  if (step_ != Step::Handshake) return State::Talking;
  // What came in the clear must not be taken for what comes over TLS.
  if (!received.empty()) return broken("it goes on in the clear after agreeing to TLS");
  return State::Secure;
}

}  // namespace vireo::block::nbd
