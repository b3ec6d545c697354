// The seed's Step10View, line by line, with what its hook useStep10Status computes of the status.
const { data: body } = await api.get(`/workflow/${workflowId}/step10/status`);
const status = body.data;
const progressPercentage = Math.round((status.modulesGenerated / status.totalModules) * 100);
const estimatedTimeRemaining = (status.totalModules - status.modulesGenerated) * 15;

if (status?.status === 'in_progress') {
  console.log(`progress ${progressPercentage}`);
  console.log(`Generating module ${status.modulesGenerated + 1} of ${status.totalModules}`);
  console.log(`Estimated time remaining: ${estimatedTimeRemaining} minutes`);
}
if (status?.allComplete) {
  console.log(`✅ All ${status.totalModules} modules generated!`);
  console.log(`Total lessons: ${status.totalLessons}`);
  console.log(`Total contact hours: ${status.totalContactHours}`);
}
if (status?.status === 'failed') {
  console.log('❌ Generation failed. Please try again.');
}
