// vireo-bench --time NAME COMMAND...: the time of another program, which bench/programs measures real ones by.

#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

namespace bench {

/// Runs the command with its output in a pipe; prints the same line as a workload, the checksum being that of the
/// output.
int time_command(int argc, char** argv) {
  require(argc >= 4, "usage: vireo-bench --time NAME COMMAND...");
  int output[2];
  require(::pipe(output) == 0, "a pipe can be made");
  Stopwatch watch;
  watch.start();
  const pid_t child = ::fork();
  require(child >= 0, "fork");
  if (child == 0) {
    ::dup2(output[1], 1);
    ::close(output[0]);
    ::close(output[1]);
    ::execvp(argv[3], argv + 3);
    std::perror(argv[3]);
    ::_exit(127);
  }
  ::close(output[1]);
  std::uint64_t sum = 0;
  unsigned char buffer[4096];
  for (ssize_t size = 0; (size = ::read(output[0], buffer, sizeof buffer)) > 0;) {
    for (ssize_t n = 0; n < size; ++n) sum = mix(sum, buffer[n]);
  }
  int status = 0;
  require(::waitpid(child, &status, 0) == child, "a child can be waited for");
  watch.stop();
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, argv[2]);
  std::printf("%s %.6f 1 %016llx\n", argv[2], watch.seconds(), static_cast<unsigned long long>(sum));
  return 0;
}

}  // namespace bench
