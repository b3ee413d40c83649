/*
 * millrace/millrace.h - all of libmillrace
 *
 * A worker needs <millrace/worker.h> alone. The rest is for the runtime and for tools.
 */
#ifndef MILLRACE_MILLRACE_H
#define MILLRACE_MILLRACE_H

#include <millrace/array.h>
#include <millrace/check.h>
#include <millrace/confine.h>
#include <millrace/context.h>
#include <millrace/domain.h>
#include <millrace/emission.h>
#include <millrace/error.h>
#include <millrace/intake.h>
#include <millrace/member.h>
#include <millrace/pixel.h>
#include <millrace/prepare.h>
#include <millrace/sampling.h>
#include <millrace/stats.h>
#include <millrace/supervise.h>
#include <millrace/text.h>
#include <millrace/trace.h>
#include <millrace/tts.h>
#include <millrace/validate.h>
#include <millrace/vision.h>
#include <millrace/worker.h>

#endif
