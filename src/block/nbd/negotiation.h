// The first words of an NBD connection: fixed newstyle negotiation, up to the answer of NBD_OPT_GO.
//
// Bytes in, bytes out: it knows no socket. What the server says is hostile: every length has a limit, and so has the
// number of its answers.
//
// Source: "The NBD protocol", sections "Handshake phase" and "Option types".
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "block/nbd/spec.h"

namespace vireo::block::nbd {

/// What the server says about the export.
struct Export {
  u64 size = 0;                              ///< bytes
  u16 flags = 0;                             ///< TransmissionFlag
  u32 minimum_block = 1;                     ///< bytes, a power of two; what offsets and lengths are multiples of
  u32 maximum_payload = kDefaultMaxPayload;  ///< bytes, of a read or write; a multiple of minimum_block
  bool structured = false;                   ///< replies may come in chunks

  bool has(TransmissionFlag flag) const { return (flags & flag) != 0; }
};

class Negotiation {
 public:
  /// `tls`: nothing but NBD_OPT_STARTTLS is said in the clear.
  Negotiation(std::string export_name, bool tls);

  enum class State : u8 {
    Talking,  ///< more bytes are to come
    Secure,   ///< the TLS handshake is next, then secured()
    Done,     ///< the transmission phase has begun; bytes that are left over are its
  };
  /// Takes from the front of `received` what it has a use for. Errors: NotFound for an export that is not there,
  /// Denied, Usage for a server that is none or cannot do what is needed.
  Result<State> feed(std::vector<u8>& received);
  void secured();

  /// What is to be sent.
  std::vector<u8> take_output() { return std::exchange(output_, {}); }
  const Export& found() const { return export_; }

 private:
  enum class Step : u8 { Greeting, StartTls, Handshake, StructuredReply, Go, Done };
  struct Reply {
    u32 type = 0;
    std::span<const u8> data;
  };
  Result<> greet(std::span<const u8> greeting);
  Result<> take_reply(const Reply& reply);
  Result<> take_info(std::span<const u8> info);
  Result<> take_sizes(std::span<const u8> sizes);
  Result<> finish();
  void ask(Option option, std::span<const u8> data = {});
  void ask_to_go();
  Option asked() const;

  const std::string name_;
  const bool tls_;
  Step step_ = Step::Greeting;
  Export export_;
  bool knows_export_ = false;
  unsigned replies_ = 0;
  std::vector<u8> output_;
};

}  // namespace vireo::block::nbd
