#!/bin/sh
# The shape of a driver, to be written again in the language of My client: a request is a line of JSON on standard
# input, its answer is a line on standard output with the same id, and when the input ends, so does the driver.
# Standard output belongs to the protocol; whatever else there is to say goes to standard error.

while IFS= read -r request; do
  id=${request#*'"id":'} id=${id%%,*}
  op=${request#*'"op":"'} op=${op%%'"'*}
  case $op in
    hello) answer='"ok":{"protocol":1,"implementation":"My client","version":"0.0"}' ;;
    begin | end) answer='"ok":null' ;; # begin: keep broker_url, backend_url and queue
    start_worker | stop_worker) answer='"unsupported":{"feature":"worker","reason":"there is no worker yet"}' ;;
    get_result | state) answer='"unsupported":{"feature":"result-consumer","reason":"nobody waits yet"}' ;;
    call) answer='"unsupported":{"feature":"producer","reason":"here the client has to send a message"}' ;;
    *) answer="\"unsupported\":{\"feature\":\"$op\",\"reason\":\"no such operation\"}" ;;
  esac
  printf '{"id":%s,%s}\n' "$id" "$answer"
done
