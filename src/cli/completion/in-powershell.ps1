# PowerShell completion for PROGRAM; to load it: PROGRAM completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName PROGRAM, PROGRAM.exe -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $typed = @($commandAst.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object {
      if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text }
    })
  # PowerShell drops an empty argument, but not an empty value after --word=.
  $arguments = @($typed) + "$wordToComplete" | ForEach-Object { "--word=$_" }
  $kind, $lines = @(& PROGRAM complete @arguments 2>$null)
  # A completion of --option=VALUE is the whole word.
  $before = if ("$wordToComplete" -match '^--[^=]+=') { $Matches[0] } else { '' }
  if ($kind -eq 'files') {
    $path = "$wordToComplete".Substring($before.Length)
    foreach ($found in [System.Management.Automation.CompletionCompleters]::CompleteFilename($path)) {
      [System.Management.Automation.CompletionResult]::new($before + $found.CompletionText, $found.ListItemText, $found.ResultType, $found.ToolTip)
    }
    return
  }
  foreach ($line in $lines) {
    $value, $meaning = $line -split "`t", 2
    if (-not $meaning) { $meaning = $value }
    # PowerShell reads typographic quotes as single quotes too: one within a name must not end the string.
    $inner = [System.Management.Automation.Language.CodeGeneration]::EscapeSingleQuotedStringContent($value)
    $text = if ($value -match '^[\w./:@%+=-]+$') { $value } else { "'" + $inner + "'" }
    [System.Management.Automation.CompletionResult]::new($before + $text, $value, 'ParameterValue', $meaning)
  }
}
