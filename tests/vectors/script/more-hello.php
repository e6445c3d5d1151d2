#!/usr/bin/env php
<?php
$sum = 0;
foreach ([1, 2, 3] as $each) {
    $sum += $each;
}
echo <<<TEXT
  hello from php, $sum
  TEXT, "\n";
