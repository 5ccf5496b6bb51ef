// The NBD protocol's names and numbers ("The NBD protocol", doc/proto.md of the nbd project). Everything is big-endian.
#pragma once

#include "base/types.h"

namespace vireo::block::nbd {

// Newstyle negotiation
constexpr u64 kNbdMagic = 0x4E42444D41474943;  // "NBDMAGIC"
constexpr u64 kIHaveOpt = 0x49484156454F5054;  // "IHAVEOPT"
constexpr u64 kOldMagic = 0x00420281861253;
constexpr u64 kOptionReplyMagic = 0x3E889045565A9;

constexpr u16 kDefaultPort = 10809;

enum HandshakeFlag : u16 { NBD_FLAG_FIXED_NEWSTYLE = 1 << 0, NBD_FLAG_NO_ZEROES = 1 << 1 };
enum ClientFlag : u32 { NBD_FLAG_C_FIXED_NEWSTYLE = 1 << 0, NBD_FLAG_C_NO_ZEROES = 1 << 1 };

enum Option : u32 { NBD_OPT_ABORT = 2, NBD_OPT_STARTTLS = 5, NBD_OPT_GO = 7, NBD_OPT_STRUCTURED_REPLY = 8 };

constexpr u32 kReplyError = 1u << 31;
enum OptionReply : u32 {
  NBD_REP_ACK = 1,
  NBD_REP_INFO = 3,
  NBD_REP_ERR_UNSUP = kReplyError + 1,
  NBD_REP_ERR_POLICY = kReplyError + 2,
  NBD_REP_ERR_INVALID = kReplyError + 3,
  NBD_REP_ERR_TLS_REQD = kReplyError + 5,
  NBD_REP_ERR_UNKNOWN = kReplyError + 6,
  NBD_REP_ERR_SHUTDOWN = kReplyError + 7,
  NBD_REP_ERR_BLOCK_SIZE_REQD = kReplyError + 8,
};

enum Info : u16 { NBD_INFO_EXPORT = 0, NBD_INFO_BLOCK_SIZE = 3 };

enum TransmissionFlag : u16 {
  NBD_FLAG_HAS_FLAGS = 1 << 0,
  NBD_FLAG_READ_ONLY = 1 << 1,
  NBD_FLAG_SEND_FLUSH = 1 << 2,
  NBD_FLAG_SEND_FUA = 1 << 3,
  NBD_FLAG_SEND_TRIM = 1 << 5,
  NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
};

// Transmission
constexpr u32 kRequestMagic = 0x25609513;
constexpr u32 kSimpleReplyMagic = 0x67446698;
constexpr u32 kStructuredReplyMagic = 0x668E33EF;

constexpr u64 kRequestSize = 28, kSimpleReplySize = 16, kStructuredReplySize = 20;

enum Command : u16 {
  NBD_CMD_READ = 0,
  NBD_CMD_WRITE = 1,
  NBD_CMD_DISC = 2,
  NBD_CMD_FLUSH = 3,
  NBD_CMD_TRIM = 4,
  NBD_CMD_WRITE_ZEROES = 6,
};
enum CommandFlag : u16 { NBD_CMD_FLAG_FUA = 1 << 0, NBD_CMD_FLAG_NO_HOLE = 1 << 1 };

enum ReplyFlag : u16 { NBD_REPLY_FLAG_DONE = 1 << 0 };
enum ReplyType : u16 {
  NBD_REPLY_TYPE_NONE = 0,
  NBD_REPLY_TYPE_OFFSET_DATA = 1,
  NBD_REPLY_TYPE_OFFSET_HOLE = 2,
  NBD_REPLY_TYPE_ERROR = (1 << 15) + 1,
  NBD_REPLY_TYPE_ERROR_OFFSET = (1 << 15) + 2,
};
constexpr u16 kReplyTypeError = 1 << 15;

enum ErrorNumber : u32 {
  NBD_EPERM = 1,
  NBD_EIO = 5,
  NBD_EINVAL = 22,
  NBD_ENOSPC = 28,
  NBD_EOVERFLOW = 75,
  NBD_ENOTSUP = 95,
  NBD_ESHUTDOWN = 108,
};

constexpr u32 kMaxStringSize = 4096;           ///< bytes, of an export's name and of messages
constexpr u32 kDefaultMaxPayload = 32 * kMiB;  ///< bytes, where the server names no limit

}  // namespace vireo::block::nbd
