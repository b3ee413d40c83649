/*
 * decimal.h - the shortest decimal number that a double is the nearest one to
 */
#ifndef RUNTIME_COLLECTOR_DECIMAL_H
#define RUNTIME_COLLECTOR_DECIMAL_H

enum { DECIMAL_ROOM = 40 };

/*
 * decimal_write - a finite number as JSON, with a point or an exponent, always the same digits
 *
 *   text  room for DECIMAL_ROOM bytes; NUL-terminated
 *
 * strtod() of the text gives the number back, bit by bit.
 */
void decimal_write(double number, char *text);

#endif
