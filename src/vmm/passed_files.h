// Files that a client of the control socket opens and passes to this process.
//
// A running machine's process cannot open files: the sandbox sees to that, so that a guest that breaks out of its
// engine finds none. Whoever adds a disk at run time opens its file, with their own rights, and sends the descriptor
// along (SCM_RIGHTS) with the message that has this command:
//
//   {"execute": "add-fd", "arguments": {"fdset-id": 1}}     -> {"fdset-id": 1, "fd": 30}
//
// From then on "/dev/fdset/1" stands for it where a command wants a file's name. As in QEMU a set may have several
// descriptors, such as one to read and one to write; the one that was opened as is needed is taken. There is also
// `remove-fd` and `query-fdsets`. A file that is in use stays open when its set is removed.
//
// Nothing is opened on a client's behalf by a helper process: it would have to trust what this process tells it, which
// is what the sandbox is there not to do.
//
// Threads: the event loop's.
#pragma once

#include <list>
#include <string>

#include "api/qmp_commands.h"
#include "host/fd.h"

namespace vireo::vmm {

class PassedFiles {
 public:
  static constexpr std::size_t kMaxFiles = 64;

  void add_commands(api::Commands& commands);

  /// "/dev/fdset/1": another descriptor of the file, opened for that. Errors: Usage for another name, NotFound when the
  /// set is not there, Denied when none of its files was opened so.
  Result<host::Fd> open(const std::string& name, bool to_write) const;

 private:
  struct File {
    i64 set = 0;
    host::Fd fd;
    std::string opaque;  ///< the client's own words
  };
  api::Answer add(const api::Arguments& arguments);
  api::Answer remove(const api::Arguments& arguments);
  api::Answer query() const;

  std::list<File> files_;
};

}  // namespace vireo::vmm
